import { crc32c } from '@platformatic/wasm-utils';
import type { IHeaders } from 'kafkajs';
import { type Cursor, createCursor } from './byte-cursor.ts';
import { codecs } from './codecs.ts';
import { isFaultOfInput, isTooLarge } from './decompress.ts';
import {
  type Decoded,
  emptyMessage,
  type FetchedMessage,
  objectBytes,
  overLimit,
  unreadable,
} from './fetched-message.ts';

export const headBytes = 61;
const crcFrom = 21;

/** Whether the checksum of the batch is right. */
export const isIntact = (batch: Buffer) => crc32c(batch.subarray(crcFrom)) === batch.readUInt32BE(17);

const epochOf = (batch: Buffer) => {
  const epoch = batch.readInt32BE(12);
  return epoch < 0 ? undefined : epoch;
};

/** The head of a batch of format 2, which precedes its records. */
export const headOf = (batch: Buffer) => {
  const attributes = batch.readInt16BE(21);
  return {
    first: batch.readBigInt64BE(0),
    isIntact: isIntact(batch),
    codec: attributes & 7,
    isControlRecord: (attributes & 0x20) !== 0,
    lastDelta: batch.readInt32BE(23),
    firstTimestamp: batch.readBigInt64BE(27),
    maxTimestamp: batch.readBigInt64BE(35),
    // Timestamps are the broker's, in place of the producer's.
    isAppendTime: (attributes & 8) !== 0,
    batchContext: {
      producerId: String(batch.readBigInt64BE(43)),
      inTransaction: (attributes & 0x10) !== 0,
      leaderEpoch: epochOf(batch),
    },
    count: batch.readInt32BE(57),
  };
};

export type Head = ReturnType<typeof headOf>;

/** The smallest sizes of a record and of a header, in bytes. */
const smallestRecord = 7;
const smallestHeader = 2;

/** Throws `unreadable`. `limit`: what the decompressed batch may take in memory, in bytes. */
export const decodeRecords = async (batch: Buffer, head: Head, limit: number): Promise<Decoded> => {
  const { first, lastDelta, count, codec, isControlRecord, batchContext } = head;
  if (count < 0 || lastDelta < 0) throw unreadable('a count is negative');
  const bytes =
    codec === 0 ? batch.subarray(headBytes) : await decompress(batch.subarray(headBytes), codec, limit);
  // Even in a batch that is not compressed, records may take much more memory than bytes.
  let cost = bytes.length + objectBytes * count;
  const tooMany = `${count} records in ${bytes.length} bytes are too many`;
  if (count * smallestRecord > bytes.length) throw unreadable(tooMany);
  if (objectBytes * count > limit) throw overLimit(tooMany);
  const spend = (headers: number) => {
    cost += objectBytes * headers;
    if (cost > limit + bytes.length) throw overLimit('it has too many headers');
  };

  const messages: FetchedMessage[] = [];
  const read = createCursor(bytes);
  const appended = head.isAppendTime ? String(head.maxTimestamp) : undefined;
  let previous = -1;
  for (let left = count; left > 0; left--) {
    const end = read.length() + read.at();
    read.skip(1);
    const timestamp = head.firstTimestamp + read.varLong();
    const delta = read.varInt();
    if (delta <= previous || delta > lastDelta) throw unreadable('its offsets are out of order');
    previous = delta;
    const key = read.bytes();
    const value = read.bytes();
    const headers = readHeaders(read, spend);
    if (read.at() !== end) throw unreadable('a record is not as long as it says');
    messages.push({
      offset: String(first + BigInt(delta)),
      timestamp: appended ?? String(timestamp),
      key,
      value,
      headers,
      attributes: 0,
      isControlRecord,
      batchContext,
    });
  }
  if (read.at() !== bytes.length) throw unreadable('it holds more than its records');
  // Compaction removed the last records, or all. Without a message at the last offset kafkajs would fetch the same batch again and again.
  if (previous < lastDelta)
    messages.push({
      ...emptyMessage,
      offset: String(first + BigInt(lastDelta)),
      timestamp: String(head.maxTimestamp),
      isControlRecord: true,
      batchContext,
    });
  return { messages, cost };
};

const decompress = async (bytes: Buffer, codecNumber: number, limit: number): Promise<Buffer> => {
  const codec = codecs[codecNumber];
  if (!codec) throw unreadable(`unknown compression, ${codecNumber}`);
  try {
    return await codec.decompress(bytes, limit);
  } catch (error) {
    if (!isFaultOfInput(error)) throw error;
    if (isTooLarge(error))
      throw overLimit(`decompressed it has more than ${limit} bytes (KAFKA_MAX_BATCH_BYTES)`, limit);
    throw unreadable(`it is not ${codec.name}`);
  }
};

/** Keeps headers named "constructor" or "__proto__", and all values of a name, be they a hundred thousand. */
const readHeaders = (read: Cursor, spend: (headers: number) => void): IHeaders => {
  const count = read.varInt();
  if (count === 0) return {};
  if (count < 0 || count * smallestHeader > read.left()) throw unreadable(`a record claims ${count} headers`);
  spend(count);
  const values = new Map<string, (Buffer | null)[]>();
  for (let left = count; left > 0; left--) {
    const name = read.bytes()?.toString();
    if (name === undefined) throw unreadable('a header has no name');
    const value = read.bytes();
    const sameName = values.get(name);
    if (sameName) sameName.push(value);
    else values.set(name, [value]);
  }
  return Object.fromEntries(
    Array.from(values, ([name, held]) => [name, held.length === 1 ? held[0] : held]),
  ) as IHeaders;
};
