/**
 * One partition: a file of record batches, one after another, as their producers sent them.
 *
 * An append is in the file (write(2)) before it returns, so it outlives the process, however that ends; it is not
 * forced to the disk each time, so the last seconds may be lost with the machine's power, as with Apache Kafka's
 * defaults. Memory holds a sparse index, never messages.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import {
  type BatchHeader,
  batchHeaderBytes,
  checkBatch,
  findTimestamp,
  isIntact,
  readBatchHeader,
  setBaseOffset,
} from './batch.ts';
import { createProducers } from './producers.ts';
import { kafkaError } from './wire.ts';

const indexEveryBytes = 32 * 1024;
const scanBytes = 4 * 1024 * 1024;

/** `maxTimestamp` is the highest of all batches before `position`. */
type IndexEntry = { offset: number; position: number; maxTimestamp: number };
type Write = (file: number, bytes: Buffer, offset: number, length: number, position: number) => number;
type Options = {
  path: string;
  /** Told how many bytes of a torn tail were cut off. */
  onCut: (bytes: number) => void;
  write?: Write;
  /** The first offset that can be read: records before it have been deleted. */
  logStart?: number;
  /** Keeps a new log start; what it throws goes to the caller of `deleteRecords`. */
  saveLogStart?: (offset: number) => void;
};
export type PartitionLog = ReturnType<typeof openPartitionLog>;

/** Opens or makes the log. Throws if the file is damaged elsewhere than at its end, where a write may have been cut short. */
export const openPartitionLog = ({
  path,
  onCut,
  write = writeSync,
  logStart: savedLogStart = 0,
  saveLogStart = () => {},
}: Options) => {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  const producers = createProducers();
  const index: IndexEntry[] = [];
  const listeners = new Set<() => void>();
  let end = 0;
  let nextOffset = 0;
  let maxTimestamp = -1;
  let closed = false;
  let logStart = savedLogStart;

  const remember = (header: BatchHeader) => {
    if (!index.length || end - (index.at(-1) as IndexEntry).position >= indexEveryBytes) {
      index.push({ offset: header.baseOffset, position: end, maxTimestamp });
    }
    producers.remember(header);
    end += header.size;
    nextOffset = header.nextOffset;
    maxTimestamp = Math.max(maxTimestamp, header.maxTimestamp);
  };

  const read = (position: number, length: number): Buffer => {
    const bytes = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const count = readSync(file, bytes, filled, length - filled, position + filled);
      if (count === 0) throw new Error(`${path} ends before byte ${position + length}`);
      filled += count;
    }
    return bytes;
  };

  /** Every whole batch from `position` on that lies in the next `length` bytes of the file, but at least one. */
  function* batches(position: number, length: number, fileEnd: number) {
    let bytes = read(position, Math.min(length, fileEnd - position));
    for (let at = 0, first = true; position + at < fileEnd; first = false) {
      if (bytes.length - at < batchHeaderBytes) return;
      const header = readBatchHeader(bytes.subarray(at));
      if (header.size < batchHeaderBytes || header.size > fileEnd - position - at) return;
      if (header.size > bytes.length - at) {
        if (!first) return;
        bytes = read(position, header.size);
      }
      yield { header, bytes: bytes.subarray(at, at + header.size) };
      at += header.size;
    }
  }

  /** Whether what lies from `end` on can be the beginning of a write that never finished. */
  const isTorn = (fileEnd: number): boolean => {
    if (fileEnd - end < batchHeaderBytes) return true;
    const header = readBatchHeader(read(end, batchHeaderBytes));
    if (header.magic === 2 && header.baseOffset === nextOffset && header.size >= fileEnd - end) return true;
    for (let at = end; at < fileEnd; at += scanBytes) {
      if (read(at, Math.min(scanBytes, fileEnd - at)).some((byte) => byte !== 0)) return false;
    }
    return true;
  };

  const recover = () => {
    const fileEnd = fstatSync(file).size;
    for (let sound = true; sound && end < fileEnd; ) {
      const before = end;
      for (const { header, bytes } of batches(end, scanBytes, fileEnd)) {
        sound = header.baseOffset === nextOffset && isIntact(bytes, header);
        if (!sound) break;
        remember(header);
      }
      sound &&= end > before;
    }
    if (end === fileEnd) return;
    if (!isTorn(fileEnd)) throw new Error(`${path} is damaged at byte ${end}`);
    ftruncateSync(file, end);
    onCut(fileEnd - end);
  };

  try {
    recover();
  } catch (error) {
    closeSync(file);
    throw error;
  }

  /** The last index entry for which `isBefore` holds. */
  const seek = (isBefore: (entry: IndexEntry) => boolean): number => {
    let [low, high] = [0, index.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(index[middle] as IndexEntry)) low = middle + 1;
      else high = middle;
    }
    return index[Math.max(0, low - 1)]?.position ?? end;
  };

  return {
    get nextOffset() {
      return nextOffset;
    },
    /** The first offset that can be read. */
    get logStart() {
      return logStart;
    },
    get closed() {
      return closed;
    },

    /**
     * Appends what a producer sent and returns the offset of its first message. What an idempotent producer sent
     * before is not stored again. Throws Kafka's errors and the file system's; then nothing was stored.
     */
    append(bytes: Buffer, maxBytes: number): number {
      if (closed) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
      const sent = checkBatch(bytes, maxBytes);
      const known = producers.check(sent);
      if (known !== undefined) return known;
      setBaseOffset(bytes, nextOffset);
      try {
        for (let done = 0; done < bytes.length; ) {
          done += write(file, bytes, done, bytes.length - done, end + done);
        }
      } catch (error) {
        ftruncateSync(file, end);
        throw error;
      }
      remember({ ...sent, baseOffset: nextOffset, nextOffset: nextOffset + sent.count });
      for (const tell of [...listeners]) tell();
      return nextOffset - sent.count;
    },

    /** Whole batches from the one that holds `offset` on: `maxBytes` at most, save that a first one always comes if `atLeastOne`. */
    fetch(offset: number, maxBytes: number, atLeastOne: boolean): Buffer {
      if (closed) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
      if (offset < logStart || offset > nextOffset) throw kafkaError('OFFSET_OUT_OF_RANGE');
      if (offset === nextOffset) return Buffer.alloc(0);
      let position = seek((entry) => entry.offset <= offset);
      for (const { header } of batches(position, 2 * indexEveryBytes, end)) {
        if (header.nextOffset > offset) break;
        position += header.size;
      }
      const limit = Math.max(0, maxBytes);
      let first: Buffer = Buffer.alloc(0);
      let size = 0;
      for (const { bytes } of batches(position, Math.max(limit, batchHeaderBytes), end)) {
        if (size + bytes.length > limit && !(atLeastOne && size === 0)) break;
        if (size === 0) first = bytes;
        size += bytes.length;
      }
      // The batches lie side by side in the memory of the first: no copy is needed to join them.
      return Buffer.from(first.buffer, first.byteOffset, size);
    },

    /** Records before `offset` can no longer be read. Returns the log start, which never goes back. */
    deleteRecords(offset: number): number {
      if (closed) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
      if (offset < 0 || offset > nextOffset) throw kafkaError('OFFSET_OUT_OF_RANGE');
      if (offset > logStart) {
        saveLogStart(offset);
        logStart = offset;
      }
      return logStart;
    },

    /** The first message not older than `timestamp` (ms), or undefined. */
    findTime(timestamp: number): { offset: number; timestamp: number } | undefined {
      if (timestamp > maxTimestamp) return undefined;
      let position = seek((entry) => entry.maxTimestamp < timestamp);
      while (position < end) {
        for (const { header, bytes } of batches(position, scanBytes, end)) {
          if (header.nextOffset > logStart && header.maxTimestamp >= timestamp) {
            return findTimestamp(bytes, timestamp, logStart);
          }
          position += header.size;
        }
      }
      return undefined;
    },

    /** Calls `tell` after each append, and when the log is closed, until the returned function is called. */
    onChange(tell: () => void): () => void {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },

    close() {
      if (closed) return;
      closed = true;
      fdatasyncSync(file);
      closeSync(file);
      for (const tell of [...listeners]) tell();
    },
  };
};
