/** Where a partition keeps its segments: a directory of files, or memory. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** Bytes from `from` up to, but not including, `to`. */
export type Range = { from: number; to: number };
export type SegmentFile = {
  /** What damage is reported with. */
  path: string;
  size(): number;
  /** A copy, so that the caller may change it. Throws if the file ends before. */
  read(position: number, length: number): Buffer;
  write(bytes: Buffer, position: number): void;
  truncate(size: number): void;
  /** Keeps only these ranges, and appends the other bytes to the side file, whose path it returns. */
  keepOnly(ranges: Range[]): string;
  /** What was written is on the disk afterwards. */
  close(): void;
  remove(): void;
};
export type Storage = {
  /** The base offsets of the segments, lowest first. */
  segments(): number[];
  open(baseOffset: number): SegmentFile;
};

const suffix = '.log';
const digits = 20;

/** What `ranges` leaves out of `size` bytes. */
export const gapsBetween = (ranges: Range[], size: number): Range[] => {
  const starts = [0, ...ranges.map(({ to }) => to)];
  const ends = [...ranges.map(({ from }) => from), size];
  return starts.map((from, i) => ({ from, to: ends[i] as number })).filter(({ from, to }) => from < to);
};

const readFully = (file: number, path: string, position: number, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const count = readSync(file, bytes, filled, length - filled, position + filled);
    if (count === 0) throw new Error(`${path} ends before byte ${position + length}`);
    filled += count;
  }
  return bytes;
};

const writeFully = (file: number, bytes: Buffer, position: number | null) => {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    done += writeSync(file, bytes, done, bytes.length - done, at);
  }
};

const openFile = (path: string): SegmentFile => {
  let file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  let isUnsynced = false;
  const copyTo = (target: string, flags: string, ranges: Range[]) => {
    const copy = openSync(target, flags);
    try {
      for (const { from, to } of ranges) writeFully(copy, readFully(file, path, from, to - from), null);
      fdatasyncSync(copy);
    } finally {
      closeSync(copy);
    }
  };

  return {
    path,
    size: () => fstatSync(file).size,
    read: (position, length) => readFully(file, path, position, length),
    write(bytes, position) {
      isUnsynced = true;
      writeFully(file, bytes, position);
    },
    truncate: (size) => ftruncateSync(file, size),
    keepOnly(ranges) {
      const sideFile = `${path}.damaged`;
      copyTo(sideFile, 'a', gapsBetween(ranges, fstatSync(file).size));
      const [first = { from: 0, to: 0 }] = ranges;
      if (ranges.length <= 1 && first.from === 0) ftruncateSync(file, first.to);
      else {
        copyTo(`${path}.repaired`, 'w', ranges);
        renameSync(`${path}.repaired`, path);
        closeSync(file);
        file = openSync(path, constants.O_RDWR);
      }
      return sideFile;
    },
    close() {
      if (isUnsynced) fdatasyncSync(file);
      closeSync(file);
    },
    remove() {
      closeSync(file);
      rmSync(path);
    },
  };
};

/** Segments as files `00000000000000000000.log` below `path`, named by the base offset, as Kafka names them. */
export const directoryStorage = (path: string): Storage => {
  mkdirSync(path, { recursive: true });
  return {
    segments: () =>
      readdirSync(path)
        .filter((name) => name.endsWith(suffix))
        .map((name) => Number(name.slice(0, -suffix.length)))
        .sort((a, b) => a - b),
    open: (baseOffset) => openFile(join(path, `${String(baseOffset).padStart(digits, '0')}${suffix}`)),
  };
};

const memoryFile = (path: string): SegmentFile => {
  let bytes: Buffer = Buffer.alloc(0);
  let size = 0;
  return {
    path,
    size: () => size,
    read: (position, length) => Buffer.from(bytes.subarray(position, position + length)),
    write(added, position) {
      if (position + added.length > bytes.length) {
        const grown = Buffer.alloc(Math.max(64 * 1024, 2 * (position + added.length)));
        bytes.copy(grown, 0, 0, size);
        bytes = grown;
      }
      added.copy(bytes, position);
      size = Math.max(size, position + added.length);
    },
    truncate(to) {
      size = to;
    },
    keepOnly() {
      throw new Error('memory is never recovered');
    },
    close() {},
    remove() {},
  };
};

export const memoryStorage = (): Storage => ({
  segments: () => [],
  open: (baseOffset) => memoryFile(`memory ${baseOffset}`),
});
