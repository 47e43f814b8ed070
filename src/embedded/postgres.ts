/** A real PostgreSQL that starts and stops with this process. */
import {
  accessSync,
  constants,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Log } from '../observability/log.ts';
import { ensureDataDir, postgresLock, postgresUrlFile } from './data-dir.ts';
import { takeLock } from './lock.ts';
import { ensureCluster, setPassword } from './postgres/cluster.ts';
import { cannotUse, codeOf } from './postgres/errors.ts';
import { endLeftOver } from './postgres/left-over.ts';
import { findPrograms } from './postgres/programs.ts';
import { createRunner, serverUser } from './postgres/runner.ts';
import { type Ended, startServer } from './postgres/server.ts';
import { readFileStart, writePrivateFile } from './private-files.ts';

type EmbeddedPostgres = {
  /** With the password. Also in the file `postgres.url` of the data directory, for tools. */
  url: string;
  pid: number;
  /** Resolves when the server has ended for any reason. */
  ended: Promise<Ended>;
  /** A fast shutdown; after 7 s the server is killed. */
  stop(): Promise<void>;
};

const advice = 'Make it writable for this user, or name another in DATA_DIR.';

/** Creates `home` and checks its owner. */
const openHome = (dataDir: string, home: string) => {
  try {
    ensureDataDir(dataDir);
    accessSync(dataDir, constants.W_OK);
    if (!existsSync(home)) mkdirSync(home, { mode: 0o700 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw cannotUse(dataDir, `${message}. Name another in DATA_DIR.`);
    throw cannotUse(dataDir, `it cannot be written (${code}). ${advice}`);
  }
  const uid = process.getuid?.();
  const found = lstatSync(home);
  // Root would change the owner of a link's target.
  if (!found.isDirectory()) throw cannotUse(home, 'it is not a folder. Move it away.');
  const owner = found.uid;
  if (uid !== 0 && uid !== owner) {
    throw cannotUse(
      home,
      `it belongs to user ${owner}, whose run made it, and this is user ${uid}. ${advice}`,
    );
  }
};

const lockHome = (file: string) => {
  try {
    return takeLock(file);
  } catch (error) {
    throw cannotUse(dirname(file), `${file} cannot be written (${codeOf(error)}). ${advice}`);
  }
};

/** The password of an earlier run, if there is one. */
const lastPassword = (file: string): string | undefined => {
  try {
    return URL.parse(readFileStart(file, 1_000)?.trim() ?? '')?.password || undefined;
  } catch (error) {
    throw cannotUse(dirname(file), codeOf(error));
  }
};

/**
 * Starts PostgreSQL on a free port of 127.0.0.1 with its data in `<dataDir>/postgres`, as an ordinary user or, when we are
 * root, as `nobody`. Rejects with an error whose message is one line for the person who started the program: that PostgreSQL
 * cannot run on this machine, that the directory cannot be used and why, or that another run is using it.
 */
export const startPostgres = async (options: { dataDir: string; log: Log }): Promise<EmbeddedPostgres> => {
  const { log } = options;
  const dataDir = resolve(options.dataDir);
  openHome(dataDir, join(dataDir, 'postgres'));
  // Both are outside of the folder of the server's user, where root must not follow a link.
  const lockFile = postgresLock(dataDir);
  const urlFile = postgresUrlFile(dataDir);
  const home = realpathSync(join(dataDir, 'postgres'));
  const data = join(home, 'data');
  const lock = lockHome(lockFile);
  if (!lock)
    throw cannotUse(
      home,
      'another run of this program is using it. Stop that first, or name another in DATA_DIR.',
    );
  try {
    const user = serverUser(home);
    const runner = createRunner(home, user);
    const programs = await findPrograms(runner, { asRoot: user !== undefined, copyFolder: dataDir });
    if (user) log.info(`PostgreSQL must not run as root: user ${user.uid} runs ${programs.postgres}`);
    await endLeftOver(data, log);
    // Its password is that of a data directory that was moved away.
    if (!existsSync(data)) rmSync(urlFile, { force: true });
    await ensureCluster(home, runner, programs, log);
    let password = lastPassword(urlFile);
    if (!password) {
      password = crypto.randomUUID();
      await setPassword(runner, programs, data, password);
    }
    const server = await startServer({ home, runner, programs, log });
    const url = `postgres://postgres:${password}@127.0.0.1:${server.port}/postgres`;
    writePrivateFile(urlFile, `${url}\n`);
    // If root runs the data of an ordinary user, that user must be able to continue with it.
    const { uid, gid } = lstatSync(dataDir);
    if (user) for (const file of [lockFile, urlFile]) lchownSync(file, uid, gid);
    const ended = server.ended.finally(lock.release);
    const stop = async () => {
      await server.stop();
      await ended;
    };
    return { url, pid: server.pid, ended, stop };
  } catch (error) {
    lock.release();
    throw error;
  }
};
