import { chmod, cp, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { $, Glob } from 'bun';
import type { Stage, Step } from './dockerfile.ts';

export type Image = Stage & { root: string };

/**
 * Does what an engine would do with the stages, in folders of `into`, without what the base images bring: each stage's
 * files lie below its own folder. Resolves with the last stage. Rejects when a step fails, or copies nothing.
 */
export const build = async (stages: Stage[], { context, into }: { context: string; into: string }) => {
  const roots = new Map<string, string>();
  const takes = await readIgnoreFile(join(context, '.dockerignore'));
  for (const stage of stages) {
    const root = join(into, stage.name);
    await mkdir(root);
    // As in an image: everybody may read, whatever the folder that it is made in.
    await chmod(root, 0o755);
    roots.set(stage.name, root);
    for (const step of stage.steps) {
      await mkdir(join(root, step.workdir), { recursive: true });
      if (step.does === 'run') await run(step, root);
      else if (step.from === undefined) await copy(step, { context, takes, root });
      else await copyFromStage(step, roots.get(step.from) ?? '', root);
    }
  }
  const last = stages.at(-1) as Stage;
  return { ...last, root: join(into, last.name) } satisfies Image;
};

const run = async ({ command, workdir, env }: Extract<Step, { does: 'run' }>, root: string) => {
  await $`sh -ec ${command}`
    .cwd(join(root, workdir))
    .env({ ...process.env, ...env })
    .quiet();
};

type Copy = Extract<Step, { does: 'copy' }>;
type Places = { context: string; takes: (path: string) => boolean; root: string };

const targetOf = ({ to, workdir }: Copy, root: string) => join(root, to.startsWith('/') ? '' : workdir, to);

const copyFromStage = async (step: Copy, from: string, root: string) => {
  const to = targetOf(step, root);
  for (const source of step.sources) await $`cp -a --link -T ${join(from, source)} ${to}`.quiet();
};

const copy = async (step: Copy, { context, takes, root }: Places) => {
  const to = targetOf(step, root);
  for (const source of step.sources) {
    const path = join(context, source);
    const isFolder = (await stat(path)).isDirectory();
    const found = isFolder ? await Array.fromAsync(new Glob('**').scan({ cwd: path, dot: true })) : [''];
    const taken = found.filter((file) => takes(join(source, file)));
    if (taken.length === 0) throw new Error(`COPY ${source}: .dockerignore leaves nothing of it`);
    for (const file of taken) {
      const target = isFolder ? join(to, file) : to.endsWith('/') ? join(to, basename(source)) : to;
      await mkdir(dirname(target), { recursive: true });
      await cp(join(path, file), target);
    }
  }
};

/** Whether a path below the context goes to the engine. */
const readIgnoreFile = async (file: string) => {
  const rules = (await Bun.file(file).text())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ glob: new Glob(line.replace(/^!/, '')), takes: line.startsWith('!') }));
  return (path: string) => {
    const parts = path.split('/');
    const parents = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    // The last rule that fits the path, or a folder that it is in, decides.
    return rules.findLast(({ glob }) => parents.some((parent) => glob.match(parent)))?.takes ?? true;
  };
};
