import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readableStreamToText } from 'bun';
import { keepPort } from './port.ts';
import { runService } from './service.ts';

const DEBIAN = '/usr/lib/postgresql';

/** The newest of Debian's PostgreSQL, else the one on PATH. */
const findBinaries = (): string | undefined => {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const installed = versions.map((version) => join(DEBIAN, version, 'bin'));
  const onPath = Bun.which('initdb');
  if (onPath) installed.push(join(onPath, '..'));
  return installed.find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')));
};

/** The Debian packages that are missing for PostgreSQL. */
export const missing = (): string[] => (findBinaries() ? [] : ['postgresql']);

/** PostgreSQL refuses to run as root: then it runs as Debian's `postgres`, or as `nobody`. */
const serverUser = (): { uid: number; gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (!user) throw new Error('running PostgreSQL as root needs a user `postgres` or `nobody` in /etc/passwd');
  return { uid: Number(user[2]), gid: Number(user[3]) };
};

/** A new cluster in `dir`, with a password of its own. */
const initialise = async (bin: string, dir: string, user: { uid: number; gid: number } | undefined) => {
  mkdirSync(dir, { recursive: true });
  rmSync(join(dir, 'data'), { recursive: true, force: true });
  const password = join(dir, 'password');
  writeFileSync(password, crypto.randomUUID(), { mode: 0o600 });
  chmodSync(dir, 0o700);
  if (user) for (const path of [dir, password]) chownSync(path, user.uid, user.gid);
  // The server's user may not be able to enter the folders above `dir`; through an open directory it needs not.
  const directory = openSync(dir, 'r');
  const initdb = Bun.spawn(
    [
      join(bin, 'initdb'),
      '--pgdata=/proc/self/fd/3/data',
      '--pwfile=/proc/self/fd/3/password',
      '--username=postgres',
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
    ],
    { cwd: '/', stdio: ['ignore', 'pipe', 'pipe', directory], env: { ...process.env, TZ: 'UTC' }, ...user },
  );
  closeSync(directory);
  const [error] = await Promise.all([
    readableStreamToText(initdb.stderr),
    readableStreamToText(initdb.stdout),
    initdb.exited,
  ]);
  if (initdb.exitCode !== 0) throw new Error(`initdb of PostgreSQL failed in ${dir}:\n${error}`);
  writeFileSync(join(dir, 'initialised'), '');
};

/** Copies of the files that only the server's user can read, which PostgreSQL insists on. */
const tlsSettings = (dir: string, { cert, key }: { cert: string; key: string }) => {
  const user = serverUser();
  for (const [file, name] of [
    [cert, 'server.crt'],
    [key, 'server.key'],
  ] as const) {
    writeFileSync(join(dir, name), readFileSync(file), { mode: 0o600 });
    if (user) chownSync(join(dir, name), user.uid, user.gid);
  }
  return {
    ssl: 'on',
    ssl_cert_file: '/proc/self/fd/3/server.crt',
    ssl_key_file: '/proc/self/fd/3/server.key',
  };
};

type Options = {
  dir: string;
  /** Paths of PEM files: the server takes TLS connections, too. */
  certificate?: { cert: string; key: string };
};

/** PostgreSQL on 127.0.0.1 that keeps its data in `dir`, with `fsync` on. Gives `DATABASE_URL`. */
export const startPostgres = async ({ dir, certificate }: Options) => {
  const bin = findBinaries();
  if (!bin) throw new Error(`PostgreSQL was found neither in ${DEBIAN} nor on PATH`);
  const user = serverUser();
  if (!existsSync(join(dir, 'initialised'))) await initialise(bin, dir, user);
  const port = keepPort(dir, 'port');
  const url = `postgres://postgres:${readFileSync(join(dir, 'password'), 'utf8')}@127.0.0.1:${port}/postgres`;
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    ...(certificate && tlsSettings(dir, certificate)),
  };
  const service = await runService({
    name: 'PostgreSQL',
    dir,
    cmd: [
      join(bin, 'postgres'),
      '-D',
      '/proc/self/fd/3/data',
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    user,
    ready: 'database system is ready to accept connections',
    // A fast shutdown: connections are closed, not waited for.
    stopSignal: 'SIGINT',
    gives: { DATABASE_URL: url },
  });
  return Object.assign(service, { url });
};
