/**
 * Runs an image's commands in what the kernel alone gives of a container: a root of its own that nobody can write to, not
 * even /tmp, process number 1 of its own processes, the image's user and environment. The network is the machine's.
 */
import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { $ } from 'bun';
import { until } from '../until.ts';
import type { Image } from './build.ts';

/** Only root may; and not on every machine. */
export const canContain =
  Bun.which('unshare') !== null &&
  Bun.spawnSync(['unshare', '--mount', '--pid', '--fork', '--mount-proc', 'true'], { stderr: 'ignore' })
    .success;

/** Brings Bun and the libraries it needs, which a base image would: without a shell and without tools. */
export const addBase = async ({ root }: Image) => {
  const libraries = (await $`ldd ${process.execPath}`.text()).matchAll(/(\/\S+) \(0x/g);
  for (const [, library = ''] of libraries) await cp(library, join(root, library), { dereference: true });
  await mkdir(join(root, 'usr/local/bin'), { recursive: true });
  await cp(process.execPath, join(root, 'usr/local/bin/bun'), { dereference: true });
  for (const folder of ['proc', 'dev']) await mkdir(join(root, folder));
  for (const device of devices) await Bun.write(join(root, 'dev', device), '');
};

const devices = ['null', 'zero', 'random', 'urandom'];

const contain = `
set -e
root=$1 workdir=$2 uid=$3 gid=$4
shift 4
mount --bind "$root" "$root"
for device in ${devices.join(' ')}; do mount --bind /dev/$device "$root/dev/$device"; done
mount -o remount,bind,ro "$root"
exec unshare --pid --fork --kill-child --root="$root" --mount-proc --wd="$workdir" --setgid="$gid" --setuid="$uid" -- "$@"
`;

/** Starts a command, with the environment of the image and what is given. */
export const startContainer = (image: Image, command: string[], env: Record<string, string>) => {
  const [, uid = '', gid = ''] = /^(\d+):(\d+)$/.exec(image.user) ?? [];
  const args = [image.root, image.workdir, uid, gid, ...command];
  const child = Bun.spawn(['unshare', '--mount', 'sh', '-c', contain, 'contain', ...args], {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...image.env, ...env },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const output = new Response(child.stdout).text();
  const errors = new Response(child.stderr).text();
  const result = async () => ({ status: await child.exited, output: await output, errors: await errors });
  return {
    result,
    running: () => child.exitCode === null && child.signalCode === null,
    /** As an engine stops it: the signal goes to process number 1, which has no other reason to end by it than its own. */
    async stop() {
      const begun = performance.now();
      const first = await until(async () => {
        const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
        return Number.parseInt(children, 10);
      });
      process.kill(first, 'SIGTERM');
      return { ...(await result()), took: performance.now() - begun };
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
};
