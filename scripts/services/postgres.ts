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
import { basename, join } from 'node:path';
import { readableStreamToText } from 'bun';
import { keepPort } from './port.ts';
import { runService } from './service.ts';

const debianFolder = '/usr/lib/postgresql';

/** The newest PostgreSQL of Debian's packages, else the one on PATH. */
const findBinaries = (): string | undefined => {
  const versions = existsSync(debianFolder)
    ? readdirSync(debianFolder).sort((a, b) => Number(b) - Number(a))
    : [];
  const installed = versions.map((version) => join(debianFolder, version, 'bin'));
  const onPath = Bun.which('initdb');
  if (onPath) installed.push(join(onPath, '..'));
  return installed.find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')));
};

/** The Debian packages that are missing for PostgreSQL. */
export const missing = (): string[] => (findBinaries() ? [] : ['postgresql']);

/** PostgreSQL refuses to run as root; then the user is Debian's `postgres`, or `nobody`. */
const serverUser = (): { uid: number; gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (!user) throw new Error('running PostgreSQL as root needs a user `postgres` or `nobody` in /etc/passwd');
  return { uid: Number(user[2]), gid: Number(user[3]) };
};

type User = ReturnType<typeof serverUser>;

/** An empty private folder of the server, with this password. */
const makeRoom = (dir: string, user: User, password: string) => {
  mkdirSync(dir, { recursive: true });
  rmSync(join(dir, 'data'), { recursive: true, force: true });
  const file = join(dir, 'password');
  writeFileSync(file, password, { mode: 0o600 });
  chmodSync(dir, 0o700);
  if (user) for (const path of [dir, file]) chownSync(path, user.uid, user.gid);
};

/** Runs a program of PostgreSQL as the server's user; rejects with its error output if it fails. */
const runProgram = async (cmd: [string, ...string[]], dir: string, user: User, env = {}) => {
  // The server's user may have no access to the folders above `dir`, so it inherits an open directory.
  const directory = openSync(dir, 'r');
  const child = Bun.spawn(cmd, {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe', directory],
    env: { ...process.env, TZ: 'UTC', ...env },
    ...user,
  });
  closeSync(directory);
  const [error] = await Promise.all([
    readableStreamToText(child.stderr),
    readableStreamToText(child.stdout),
    child.exited,
  ]);
  if (child.exitCode !== 0) throw new Error(`${basename(cmd[0])} of PostgreSQL failed in ${dir}:\n${error}`);
};

/** Creates a cluster in `dir` with a new password. */
const initialise = async (bin: string, dir: string, user: User) => {
  makeRoom(dir, user, crypto.randomUUID());
  const options = [
    '--pgdata=/proc/self/fd/3/data',
    '--pwfile=/proc/self/fd/3/password',
    '--username=postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
  ];
  await runProgram([join(bin, 'initdb'), ...options], dir, user);
  writeFileSync(join(dir, 'initialised'), '');
};

const readPassword = (dir: string) => readFileSync(join(dir, 'password'), 'utf8');

/** Creates a streaming standby of the running server of `primary` in `dir`. */
const copyPrimary = async (bin: string, dir: string, user: User, primary: string) => {
  const password = readPassword(primary);
  makeRoom(dir, user, password);
  const port = keepPort(primary, 'port');
  const options = [
    '--pgdata=/proc/self/fd/3/data',
    '--checkpoint=fast',
    '--write-recovery-conf',
    // Becomes primary_conninfo, password included; synchronous_standby_names refers to the application name.
    `--dbname=host=127.0.0.1 port=${port} user=postgres application_name=standby`,
  ];
  await runProgram([join(bin, 'pg_basebackup'), ...options], dir, user, { PGPASSWORD: password });
  writeFileSync(join(dir, 'initialised'), '');
};

/** Copies the files with permissions for the server's user only, as PostgreSQL requires. */
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
  /** Paths of PEM files, for TLS connections. */
  certificate?: { cert: string; key: string };
  /** The folder of the primary, if this is a standby; it must run at the first start. */
  standbyOf?: string;
  /** Additions to postgresql.conf. */
  more?: Record<string, string | number>;
};

/**
 * PostgreSQL on 127.0.0.1 with its data in `dir` and `fsync` on. Provides `DATABASE_URL`. A standby that was promoted by
 * `select pg_promote()` starts as a primary from then on.
 */
export const startPostgres = async ({ dir, certificate, standbyOf, more }: Options) => {
  const bin = findBinaries();
  if (!bin) throw new Error(`PostgreSQL was found neither in ${debianFolder} nor on PATH`);
  const user = serverUser();
  if (!existsSync(join(dir, 'initialised'))) {
    if (standbyOf) await copyPrimary(bin, dir, user, standbyOf);
    else await initialise(bin, dir, user);
  }
  const port = keepPort(dir, 'port');
  const url = `postgres://postgres:${readPassword(dir)}@127.0.0.1:${port}/postgres`;
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    ...(certificate && tlsSettings(dir, certificate)),
    ...more,
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
    // Matches both "connections" and a standby's "read-only connections".
    ready: 'database system is ready to accept ',
    // A fast shutdown, which closes connections.
    stopSignal: 'SIGINT',
    gives: { DATABASE_URL: url },
  });
  return Object.assign(service, { url });
};
