/**
 * Files and folders where another user may have put something first: nothing is followed out of them, nothing is waited
 * for that never comes, and what is ours is closed to everybody else.
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

/** Why a file is not to be used, if it is not. A second name of it would be another file's. */
const fault = (path: string, stats: Stats): Error | undefined => {
  if (stats.isSymbolicLink()) return notOrdinary(path, 'a link');
  if (!stats.isFile()) return notOrdinary(path, 'not a file');
  if (stats.nlink > 1) return notOrdinary(path, 'a link');
  return undefined;
};

/**
 * The beginning of a file, at most `most` bytes; undefined if there is none. Throws an Error of one line where there is
 * something else, such as a link or a pipe.
 */
export const readFileStart = (path: string, most: number): string | undefined => {
  let file: number;
  try {
    // Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) return undefined;
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw notOrdinary(path, 'a link');
    throw error;
  }
  try {
    const wrong = fault(path, fstatSync(file));
    if (wrong) throw wrong;
    const bytes = Buffer.alloc(most);
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, most, 0));
  } finally {
    closeSync(file);
  }
};

/** Replaces a file, whatever is there, by one that only its owner can read. */
export const writePrivateFile = (path: string, text: string) => {
  const fresh = `${path}.${crypto.randomUUID()}`;
  writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
  renameSync(fresh, path);
};

/** Makes an empty file unless there is one, and closes it to others. Throws where there is something else. */
export const ensurePrivateFile = (path: string) => {
  try {
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // It is not opened: to close it would give back a lock that this process may have on it.
    const stats = lstatSync(path);
    const wrong = fault(path, stats);
    if (wrong) throw wrong;
    if ((stats.mode & 0o077) !== 0) chmodSync(path, 0o600);
  }
};

/**
 * Makes a folder that only its owner may enter, or closes one that is there and was `isOurs`. Throws an Error of one line
 * where there is something else, or others may write to it, who could have put anything there.
 */
export const ensurePrivateFolder = (path: string, isOurs: (entries: string[]) => boolean = () => true) => {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const { mode, uid } = statSync(path);
  const us = process.getuid?.();
  if (us !== undefined && us !== 0 && uid !== us)
    throw new Error(`it belongs to user ${uid}, and this is user ${us}`);
  const othersWrite = (mode & 0o022) !== 0;
  const isClosable = (mode & 0o1000) === 0 && isOurs(readdirSync(path));
  if ((mode & 0o077) !== 0 && isClosable && !othersWrite) chmodSync(path, mode & 0o700);
  else if (othersWrite) throw new Error('other users can write to it');
};
