import { closeSync, existsSync, fsyncSync, lstatSync, openSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../../observability/log.ts';
import { readFileStart } from '../private-files.ts';
import { cannotUse, codeOf } from './errors.ts';
import type { Programs } from './programs.ts';
import { finished, type Runner } from './runner.ts';

/** Flushes the folder's entries to disk. */
const sync = (folder: string) => {
  const descriptor = openSync(folder, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
};

const unfinishedPrefix = 'unfinished-';

/** The start of `PG_VERSION`. The folder belongs to the server's user, who may have put links or pipes there. */
const versionIn = (data: string): string | undefined => {
  if (!lstatSync(data).isDirectory()) throw cannotUse(data, 'it is not a folder. Move it away.');
  try {
    return readFileStart(join(data, 'PG_VERSION'), 100);
  } catch (error) {
    throw cannotUse(data, codeOf(error));
  }
};

/** Throws unless `data` is the data directory of a PostgreSQL of this major version. */
const checkVersion = (data: string, major: number) => {
  const found = versionIn(data)?.trim();
  const backup = 'Restore the directory from a backup, or move it away to start with an empty one.';
  if (found === undefined) throw cannotUse(data, `it has no file PG_VERSION. ${backup}`);
  if (!/^\d{1,3}$/.test(found)) {
    throw cannotUse(data, `its PG_VERSION holds ${JSON.stringify(found.slice(0, 20))}. ${backup}`);
  }
  if (Number(found) !== major) {
    const age = Number(found) > major ? 'newer' : 'older';
    throw cannotUse(
      data,
      `it was made by PostgreSQL ${found}, which is ${age} than the ${major} that is here. ` +
        'Run the version of this program that made it, or move it away to start with an empty one.',
    );
  }
};

/** Creates the data directory `data` in `home` unless it exists, atomically. */
export const ensureCluster = async (home: string, runner: Runner, programs: Programs, log: Log) => {
  const unfinished = readdirSync(home).filter((name) => name.startsWith(unfinishedPrefix));
  // Removed by the server's user: as root, a folder that is replaced by a link meanwhile would lead elsewhere.
  if (unfinished.length > 0)
    await finished(runner.run(['rm', '-rf', '--', ...unfinished.map((name) => join(runner.place, name))]));
  const data = join(home, 'data');
  if (existsSync(data)) return checkVersion(data, programs.major);
  log.info(`creating an empty PostgreSQL ${programs.major} cluster in ${data}`);
  const fresh = `${unfinishedPrefix}${crypto.randomUUID()}`;
  const { error, code } = await finished(
    runner.run([
      programs.initdb,
      `--pgdata=${join(runner.place, fresh)}`,
      '--username=postgres',
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      // Connections only over 127.0.0.1 and with the password, which is set afterwards.
      '--auth-local=reject',
      '--auth-host=scram-sha-256',
      '--no-instructions',
    ]),
  );
  if (code !== 0) throw cannotUse(data, `initdb failed: ${error.replaceAll(runner.place, home)}`);
  renameSync(join(home, fresh), data);
  sync(home);
};

/** Sets the superuser's password while the cluster is not running. */
export const setPassword = async (runner: Runner, programs: Programs, data: string, password: string) => {
  const { out, error, code } = await finished(
    runner.run(
      [programs.postgres, '--single', '-D', join(runner.place, 'data'), 'postgres'],
      `ALTER ROLE postgres PASSWORD '${password}'\n`,
    ),
  );
  if (code !== 0 || /ERROR|FATAL|PANIC/.test(error)) throw cannotUse(data, error || out);
};
