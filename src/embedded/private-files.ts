/**
 * Files and folders in places where another user may have planted something: links are not followed, pipes do not block, and our
 * own files are closed to other users.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT';

const notOrdinary = (path: string, what: string) => new Error(`${path} is ${what}: remove it`);

/** Why a file must not be used, if so. A hard link could be another user's file. */
const fault = (path: string, stats: Stats): Error | undefined => {
  if (stats.isSymbolicLink()) return notOrdinary(path, 'a link');
  if (!stats.isFile()) return notOrdinary(path, 'not a file');
  if (stats.nlink > 1) return notOrdinary(path, 'a link');
  return undefined;
};

/**
 * At most the first `maxBytes` of a file; undefined if it does not exist. Throws an Error of one line if it is something else, such
 * as a link or a pipe.
 */
export const readFileStart = (path: string, maxBytes: number): string | undefined => {
  let file: number;
  try {
    // Without O_NONBLOCK, opening a pipe blocks until it has a writer.
    file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) return undefined;
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw notOrdinary(path, 'a link');
    throw error;
  }
  try {
    const wrong = fault(path, fstatSync(file));
    if (wrong) throw wrong;
    const bytes = Buffer.alloc(maxBytes);
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, maxBytes, 0));
  } finally {
    closeSync(file);
  }
};

/** Writes a file that only its owner can read, replacing whatever has that name. */
export const writePrivateFile = (path: string, text: string) => {
  const fresh = `${path}.${crypto.randomUUID()}`;
  writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
  renameSync(fresh, path);
};

/** Creates an empty file if it is missing, and closes it to others. Throws if it is something else. */
export const ensurePrivateFile = (path: string) => {
  try {
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Not opened: closing it would release a lock that this process may hold on it.
    const stats = lstatSync(path);
    const wrong = fault(path, stats);
    if (wrong) throw wrong;
    if ((stats.mode & 0o077) !== 0) chmodSync(path, 0o600);
  }
};

/**
 * Creates a folder for its owner only; an existing one for which `isOurs` is true is closed to others. Throws an Error of one line
 * if it belongs to another user or is writable by others, who could have planted anything there.
 */
export const ensurePrivateFolder = (path: string, isOurs: (entries: string[]) => boolean = () => true) => {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new Error('it is not a folder');
    if (code === 'ENOTDIR') throw new Error('a part of its path is not a folder');
    throw error;
  }
  const { mode, uid } = statSync(path);
  const us = process.getuid?.();
  if (us !== undefined && us !== 0 && uid !== us)
    throw new Error(`it belongs to user ${uid}, and this is user ${us}`);
  const othersWrite = (mode & 0o022) !== 0;
  const isClosable = (mode & 0o1000) === 0 && isOurs(readdirSync(path));
  if ((mode & 0o077) !== 0 && isClosable && !othersWrite) chmodSync(path, mode & 0o700);
  else if (othersWrite)
    throw new Error(`other users can write to it${isClosable ? ` (\`chmod 700 ${path}\` ends that)` : ''}`);
};
