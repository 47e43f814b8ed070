/** One file of a partition: record batches, one after another. Memory holds a sparse index, never messages. */
import {
  type BatchHeader,
  batchHeaderBytes,
  clearLeaderEpoch,
  findTimestamp,
  hasPlausibleHeader,
  isIntact,
  readBatchHeader,
} from './batch.ts';
import { findIntact } from './recovery.ts';
import { gapsBetween, type SegmentFile } from './storage.ts';
import { kafkaError } from './wire.ts';

const indexEveryBytes = 32 * 1024;
const scanBytes = 4 * 1024 * 1024;
const nothing = Buffer.alloc(0);

/** `maxTimestamp` is the highest of all batches before `position`. */
type IndexEntry = { offset: number; position: number; maxTimestamp: number };
export type Damage = { file: string; bytes: number; ranges: number; keptIn: string };
export type Write = (file: SegmentFile, bytes: Buffer, position: number) => void;
export type Segment = ReturnType<typeof openSegment>;

/** Opens the segment and repairs it: what is damaged goes to a side file and is reported, all else stays. */
export const openSegment = (
  file: SegmentFile,
  baseOffset: number,
  {
    onBatch,
    onDamage,
    write,
  }: { onBatch: (header: BatchHeader) => void; onDamage: (damage: Damage) => void; write: Write },
) => {
  const index: IndexEntry[] = [];
  let end = 0;
  let nextOffset = baseOffset;
  let maxTimestamp = -1;

  const remember = (header: BatchHeader) => {
    if (!index.length || end - (index.at(-1) as IndexEntry).position >= indexEveryBytes) {
      index.push({ offset: header.baseOffset, position: end, maxTimestamp });
    }
    onBatch(header);
    end += header.size;
    nextOffset = header.nextOffset;
    maxTimestamp = Math.max(maxTimestamp, header.maxTimestamp);
  };

  const recover = () => {
    const size = file.size();
    if (size === 0) return;
    const { found, kept } = findIntact(file.read(0, size), baseOffset);
    const damaged = gapsBetween(kept, size);
    if (damaged.length > 0) {
      const bytes = damaged.reduce((sum, { from, to }) => sum + to - from, 0);
      onDamage({ file: file.path, bytes, ranges: damaged.length, keptIn: file.keepOnly(kept) });
    }
    for (const { header } of found) remember(header);
  };
  recover();

  /** Throws what Kafka answers where the file is no longer what was written to it. */
  const corrupt = (position: number) =>
    kafkaError('CORRUPT_MESSAGE', `${file.path} is damaged at ${position}`);
  const readAt = (position: number, length: number): Buffer => {
    if (file.size() < position + length) throw corrupt(position);
    return file.read(position, length);
  };
  const headerAt = (bytes: Buffer, position: number): BatchHeader => {
    const header = readBatchHeader(bytes);
    const isSound =
      hasPlausibleHeader(header) &&
      header.size <= end - position &&
      (header.offsetIsVerified || header.offsetIsUnverifiable);
    if (!isSound) throw corrupt(position);
    return header;
  };

  /** Every whole batch from `position` on that lies in the next `length` bytes of the file, but at least one. */
  function* batches(position: number, length: number) {
    let bytes = readAt(position, Math.min(length, end - position));
    for (let at = 0; position + at < end; ) {
      if (bytes.length - at < batchHeaderBytes) {
        if (at > 0) return;
        throw corrupt(position);
      }
      const header = headerAt(bytes.subarray(at), position + at);
      if (header.size > bytes.length - at) {
        if (at > 0) return;
        bytes = readAt(position, header.size);
      }
      yield { header, bytes: bytes.subarray(at, at + header.size), position: position + at };
      at += header.size;
    }
  }

  /** The position of the last index entry for which `isBefore` holds. */
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
    baseOffset,
    file,
    get size() {
      return end;
    },
    get nextOffset() {
      return nextOffset;
    },
    get maxTimestamp() {
      return maxTimestamp;
    },

    /** Throws the file system's error; then nothing was stored. */
    append(bytes: Buffer, header: BatchHeader) {
      try {
        write(file, bytes, end);
      } catch (error) {
        file.truncate(end);
        throw error;
      }
      remember(header);
    },

    /** Whole batches from the one that holds `offset`, or is the next after it: see `PartitionLog.fetch`. */
    fetch(offset: number, maxBytes: number, atLeastOne: boolean): Buffer {
      let position = seek((entry) => entry.offset <= offset);
      for (const { header } of batches(position, 2 * indexEveryBytes)) {
        if (header.nextOffset > offset) break;
        position += header.size;
      }
      if (position >= end) return nothing;
      const limit = Math.max(0, maxBytes);
      let first: Buffer = nothing;
      let size = 0;
      for (const { header, bytes, position: at } of batches(position, Math.max(limit, batchHeaderBytes))) {
        if (size + bytes.length > limit && !(atLeastOne && size === 0)) break;
        if (!isIntact(bytes, header)) {
          if (size > 0) break;
          throw corrupt(at);
        }
        clearLeaderEpoch(bytes);
        if (size === 0) first = bytes;
        size += bytes.length;
      }
      // The batches lie side by side in the memory of the first: no copy is needed to join them.
      return Buffer.from(first.buffer, first.byteOffset, size);
    },

    /** The first message from `fromOffset` on that is not older than `timestamp` (ms), or undefined. */
    findTime(timestamp: number, fromOffset: number): { offset: number; timestamp: number } | undefined {
      if (timestamp > maxTimestamp) return undefined;
      let position = seek((entry) => entry.maxTimestamp < timestamp);
      while (position < end) {
        for (const { header, bytes, position: at } of batches(position, scanBytes)) {
          position += header.size;
          if (header.nextOffset <= fromOffset || header.maxTimestamp < timestamp) continue;
          if (!isIntact(bytes, header)) throw corrupt(at);
          const found = findTimestamp(bytes, timestamp, fromOffset);
          if (found) return found;
        }
      }
      return undefined;
    },

    close: () => file.close(),
    remove: () => file.remove(),
  };
};
