import { headBytes, headOf, isIntact } from './decode-records.ts';
import { emptyMessage, type FetchedMessage } from './fetched-message.ts';

/**
 * The offsets that may follow in a fetch: `from`, where it began or the batch before ended, to before `end`, the end of the
 * partition. Only the first batch of a fetch may begin before `from`.
 */
export type Range = { from: bigint; end: bigint; isFirst: boolean };
/** `at`: its place in the bytes; `first`: its first offset. */
type Following = { at: number; first: bigint };

const frameBytes = 12;
const magicAt = 16;
const oldCrcFrom = 16;
const smallestOld = frameBytes + 14;

/** What the batch at the start of the bytes says of its size, in bytes; undefined if the bytes end before. */
export const sizeOf = (bytes: Buffer): number | undefined =>
  bytes.length > magicAt ? frameBytes + bytes.readInt32BE(8) : undefined;

export const isOld = (batch: Buffer) => batch.readInt8(magicAt) < 2;

/** The checksum covers neither the first offset, nor the size, nor the format; so they are compared with what was asked for. */
export const faultOf = (bytes: Buffer, { from, end, isFirst }: Range): string | undefined => {
  const size = sizeOf(bytes);
  if (size === undefined) return 'it is cut short';
  const magic = bytes.readInt8(magicAt);
  if (magic < 0 || magic > 2) return `its format is ${magic}; 0, 1 and 2 exist`;
  if (size < (magic === 2 ? headBytes : smallestOld)) return `it cannot have ${size} bytes`;
  if (size > bytes.length) return `it says that it has ${size} bytes, and there are ${bytes.length}`;
  const batch = bytes.subarray(0, size);
  if (magic === 2 ? !isIntact(batch) : !isIntactOld(batch)) return 'its checksum is wrong';
  const first = batch.readBigInt64BE(0);
  const last = magic === 2 ? first + BigInt(headOf(batch).lastDelta) : first;
  if (first < (isFirst ? 0n : from) || last < from || last >= end)
    return `it says that it has the offsets ${first} to ${last}, and ${from} to ${end - 1n} were asked for`;
  const following = firstOffsetAt(bytes, size);
  // Without a gap before this batch it is the next one that is wrong.
  if (first > from && following !== undefined && following >= from && following <= last)
    return `it says that it ends at offset ${last}, and the next batch begins at ${following}`;
  return undefined;
};

/**
 * Whether Kafka finds the damaged batch again when it is asked for `from`: it goes by size and last offset, also by damaged ones, and
 * passes over a batch that seems to end before.
 */
export const isFoundAgain = (bytes: Buffer, { from, isFirst }: Range): boolean => {
  if (isFirst) return true;
  const size = sizeOf(bytes) ?? 0;
  if (size < smallestOld || size > bytes.length || bytes.length < headBytes) return false;
  const { first, lastDelta } = headOf(bytes);
  return (isOld(bytes) ? first : first + BigInt(lastDelta)) >= from;
};

const isIntactOld = (message: Buffer) =>
  Bun.hash.crc32(message.subarray(oldCrcFrom)) === message.readUInt32BE(frameBytes);

/** Only format 2 has it: before, the offset of a message that holds others is that of its last one. */
const firstOffsetAt = (bytes: Buffer, at: number) =>
  at + magicAt < bytes.length && bytes[at + magicAt] === 2 ? bytes.readBigInt64BE(at) : undefined;

/** A search computes checksums of so many times the bytes that it searches, at the most. */
const searchFactor = 16;

/**
 * Finds the next whole batch after the damaged one at the start of the bytes: where its size says, or else anywhere. If the damaged
 * one is the first of a fetch, that batch may begin at `from` or before: then the damaged one ended before `from`.
 */
export const findFollowing = (bytes: Buffer, { from, end, isFirst }: Range): Following | undefined => {
  let left = searchFactor * bytes.length;
  const batchAt = (at: number, lowest: bigint) => {
    if (at + headBytes > bytes.length || bytes[at + magicAt] !== 2) return undefined;
    const first = bytes.readBigInt64BE(at);
    const size = frameBytes + bytes.readInt32BE(at + 8);
    if (first < lowest || first >= end || size < headBytes || at + size > bytes.length) return undefined;
    left -= size;
    const batch = bytes.subarray(at, at + size);
    return isIntact(batch)
      ? { at, first, last: first + BigInt(headOf(batch).lastDelta), after: at + size }
      : undefined;
  };
  const lowest = from + 1n;
  const size = sizeOf(bytes) ?? 0;
  let expected = size > 0 ? batchAt(size, isFirst ? 0n : lowest) : undefined;
  while (expected && expected.last < from) expected = batchAt(expected.after, 0n);
  if (expected) return expected;
  for (let at = 1; at + headBytes <= bytes.length && left > 0; at++) {
    const found = batchAt(at, lowest);
    if (found) return found;
  }
  return undefined;
};

/**
 * The message in place of the damaged batch at the start of the bytes. It is never a control record, nor part of a transaction:
 * those would be left out in silence.
 */
export const damagedMessage = (
  bytes: Buffer,
  { from, end, isFirst: mayBeginBefore }: Range,
  following: Following | undefined,
  why: string,
): FetchedMessage => {
  const head = bytes.length >= headBytes ? headOf(bytes.subarray(0, wholeSize(bytes))) : undefined;
  // If the head may be wrong, the last offset in it may be too. The broker answers the next fetch with the batch that follows.
  const isCountRight =
    head !== undefined && head.lastDelta >= 0 && (head.isIntact || head.lastDelta === head.count - 1);
  const delta = isCountRight ? BigInt(head.lastDelta) : 0n;
  const isInRange = (first: bigint) =>
    first >= (mayBeginBefore ? 0n : from) &&
    first + delta >= from &&
    first + delta < (following?.first ?? end);
  const isFirstRight = head !== undefined && isInRange(head.first);
  const first = isFirstRight ? head.first : from;
  let last = first + delta;
  if (following && !(isFirstRight && isCountRight)) last = following.first - 1n;
  else if (last >= end) last = end - 1n;
  if (last < from) last = from;
  const batch = isCountRight ? `a record batch of ${head.count} records` : 'a record batch';
  return {
    ...emptyMessage,
    offset: String(last),
    // A false one would spoil the metric of delays.
    timestamp: String(head?.isIntact ? head.maxTimestamp : Date.now()),
    isControlRecord: false,
    batchContext: { producerId: '-1', inTransaction: false },
    unreadable: {
      reason: `${batch} cannot be read, offsets ${first} to ${last}: ${why}`,
      firstOffset: String(first),
      lastOffset: String(last),
      records: isCountRight ? head.count : 0,
    },
  };
};

/** The size that the batch says, if that can be; or else all bytes. */
const wholeSize = (bytes: Buffer) => {
  const size = sizeOf(bytes) ?? 0;
  return size >= headBytes && size <= bytes.length ? size : bytes.length;
};
