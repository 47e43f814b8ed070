import { crc32c } from '@platformatic/wasm-utils';
import type { IHeaders } from 'kafkajs';
import Decoder from 'kafkajs/src/protocol/decoder.js';
import decodeMessageSet from 'kafkajs/src/protocol/messageSet/decoder.js';
import fetched from 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js';
import { codecs, registerCodecs } from './codecs.ts';
import { isFaultOfInput, tooLargeCode } from './decompress.ts';

/**
 * Decodes what a fetch brings, in kafkajs's place: that trusts every length and count, decompresses without a limit, and
 * ends at a batch that it cannot read, for ever the same one. Here such a batch becomes one message that says why.
 */

/** A record batch that cannot be read. */
export type Unreadable = {
  /** One line. */
  reason: string;
  firstOffset: string;
  lastOffset: string;
  /** How many records it claims to hold. */
  records: number;
};

/** A message as kafkajs's consumers have it. Of an unreadable batch the one message has its last offset, and no value. */
export type Fetched = {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
  attributes: 0;
  isControlRecord: boolean;
  batchContext: { producerId: string; inTransaction: boolean };
  unreadable?: Unreadable;
};

/** Kafka's own limit for a batch, where its topic does not say another, in bytes. */
const usualBatchBytes = 1_048_588;
/** A batch may be so many times as large when it is decompressed. */
const growth = 16;
/** What a record or a header takes in memory besides its bytes, at least. */
const overhead = 64;

let limitOf: (compressed: number) => number;
/**
 * Sets what a batch may hold when it is decompressed, for the whole thread: `bytes`, or if that is null, 16 times what its
 * topic takes compressed (`topicBytes`), and what it is itself.
 */
export const limitBatches = (bytes: number | null, topicBytes = usualBatchBytes) => {
  limitOf = (compressed) => bytes ?? growth * Math.max(topicBytes, compressed);
};
limitBatches(null);

/** All partitions of an answer share its decoder: what was decoded of it so far, by what it takes in memory. */
const decoded = new WeakMap<Decoder, number>();

export const installDecoder = () => {
  registerCodecs((compressed) => limitOf(compressed));
  fetched.decode = async (decoder) => {
    const size = decoder.readInt32();
    if (size <= 0 || !decoder.canReadBytes(size)) return [];
    const bytes = decoder.readBytes(size);
    const { messages, cost } = await decodeBatches(bytes, limitOf, decoded.get(decoder) ?? 0);
    decoded.set(decoder, cost);
    return messages;
  };
};

const frameBytes = 12;
const magicAt = 16;
const crcFrom = 21;
const headBytes = 61;

/**
 * The messages of record batches, one after another, of which the last may be cut short. It stops after the batch with
 * which `cost`, in bytes, reaches the limit; the next fetch begins there. Rejects where no batch can be told from the next.
 */
export const decodeBatches = async (bytes: Buffer, limit: (compressed: number) => number, cost = 0) => {
  const messages: Fetched[] = [];
  let spent = cost;
  for (let at = 0; at + magicAt < bytes.length && (spent === 0 || spent < limit(0)); ) {
    const size = frameBytes + bytes.readInt32BE(at + 8);
    const magic = bytes.readInt8(at + magicAt);
    if (magic > 2 || size < (magic === 2 ? headBytes : frameBytes + 14))
      throw new Error(`Kafka sent a record batch of the format ${magic} and ${size} bytes, which is none`);
    if (at + size > bytes.length) break;
    const batch = bytes.subarray(at, at + size);
    at += size;
    const next = at + 8 <= bytes.length ? bytes.readBigInt64BE(at) : undefined;
    if (magic === 2 && mayBeMangled(batch)) break;
    const part = await (magic === 2 ? decodeBatch(batch, limit(size), next) : decodeOldSet(batch));
    for (const message of part.messages) messages.push(message);
    spent += part.cost;
  }
  return { messages, cost: spent };
};

type Decoded = { messages: Fetched[]; cost: number };

/** What a batch says of itself, before its records. */
const headOf = (batch: Buffer) => {
  const attributes = batch.readInt16BE(21);
  return {
    first: batch.readBigInt64BE(0),
    isIntact: crc32c(batch.subarray(crcFrom)) === batch.readUInt32BE(17),
    codec: attributes & 7,
    isControlRecord: (attributes & 0x20) !== 0,
    lastDelta: batch.readInt32BE(23),
    firstTimestamp: batch.readBigInt64BE(27),
    maxTimestamp: batch.readBigInt64BE(35),
    // The broker's clock, in place of the producer's.
    isAppendTime: (attributes & 8) !== 0,
    batchContext: { producerId: String(batch.readBigInt64BE(43)), inTransaction: (attributes & 0x10) !== 0 },
    count: batch.readInt32BE(57),
  };
};

type Head = ReturnType<typeof headOf>;

/** A batch with a wrong checksum is fetched so often before it is given up: it may have been changed on its way. */
const attempts = 3;
const mangled = new Map<string, number>();

const mayBeMangled = (batch: Buffer): boolean => {
  if (crc32c(batch.subarray(crcFrom)) === batch.readUInt32BE(17)) return false;
  const name = batch.toString('latin1', 0, crcFrom);
  const seen = (mangled.get(name) ?? 0) + 1;
  if (mangled.size > 1_000) mangled.clear();
  mangled.set(name, seen);
  return seen < attempts;
};

const decodeBatch = async (batch: Buffer, limit: number, next: bigint | undefined): Promise<Decoded> => {
  const head = headOf(batch);
  try {
    if (!head.isIntact) throw unreadable('its checksum is wrong');
    return await decodeRecords(batch, head, limit);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    // Nothing is known of how far it reaches if its head may be wrong: then the broker steps over it, by the offset.
    const claimed =
      head.isIntact || head.lastDelta === head.count - 1 ? head.first + BigInt(head.lastDelta) : head.first;
    const last = next !== undefined && claimed >= next ? next - 1n : claimed;
    const message = unreadableMessage(head, last < head.first ? head.first : last, error.message);
    return { messages: [message], cost: error.cost };
  }
};

const unreadableMessage = (head: Head, last: bigint, why: string): Fetched => {
  const reason = `a record batch of ${head.count} records cannot be read, offsets ${head.first} to ${last}: ${why}`;
  const { isControlRecord, batchContext } = head;
  const timestamp = String(head.maxTimestamp);
  const message: Fetched = { ...empty, offset: String(last), timestamp, isControlRecord, batchContext };
  if (!isControlRecord)
    message.unreadable = {
      reason,
      firstOffset: String(head.first),
      lastOffset: String(last),
      records: head.count,
    };
  return message;
};

const empty = { key: null, value: null, headers: {}, attributes: 0 } as const;

const decodeRecords = async (batch: Buffer, head: Head, limit: number): Promise<Decoded> => {
  const { first, lastDelta, count, codec, isControlRecord, batchContext } = head;
  if (count < 0 || lastDelta < 0) throw unreadable('a count is negative');
  const bytes =
    codec === 0 ? batch.subarray(headBytes) : await decompress(batch.subarray(headBytes), codec, limit);
  // Compressed or not, what a record is in memory is not bounded by its bytes.
  let cost = bytes.length + overhead * count;
  if (overhead * count > limit || count * leastRecord > bytes.length)
    throw unreadable(`${count} records in ${bytes.length} bytes are too many`);
  const spend = (things: number) => {
    cost += overhead * things;
    if (cost > limit + bytes.length) throw unreadable('it has too many headers');
  };

  const messages: Fetched[] = [];
  const read = createCursor(bytes);
  const appended = head.isAppendTime ? String(head.maxTimestamp) : undefined;
  let before = -1;
  for (let left = count; left > 0; left--) {
    const end = read.length() + read.at();
    read.skip(1);
    const timestamp = head.firstTimestamp + read.varLong();
    const delta = read.varInt();
    if (delta <= before || delta > lastDelta) throw unreadable('its offsets are out of order');
    before = delta;
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
  // Compaction took the last records, or all: kafkajs would ask for the same batch again, for each offset or for ever.
  if (before < lastDelta)
    messages.push({
      ...empty,
      offset: String(first + BigInt(lastDelta)),
      timestamp: String(head.maxTimestamp),
      isControlRecord: true,
      batchContext,
    });
  return { messages, cost };
};

const decompress = async (bytes: Buffer, number: number, limit: number): Promise<Buffer> => {
  const codec = codecs[number];
  if (!codec) throw unreadable(`nobody knows its compression, ${number}`);
  try {
    return await codec.decompress(bytes, limit);
  } catch (error) {
    if (!isFaultOfInput(error)) throw error;
    if ((error as { code?: unknown }).code === tooLargeCode)
      throw unreadable(`decompressed it has more than ${limit} bytes (KAFKA_MAX_BATCH_BYTES)`, limit);
    throw unreadable(`it is not ${codec.name}`);
  }
};

/** Nothing is lost if a header is called "constructor" or "__proto__", or comes a hundred thousand times. */
const readHeaders = (read: Cursor, spend: (headers: number) => void): IHeaders => {
  const count = read.varInt();
  if (count === 0) return {};
  if (count < 0 || count * leastHeader > read.left()) throw unreadable(`a record claims ${count} headers`);
  spend(count);
  const values = new Map<string, (Buffer | null)[]>();
  for (let left = count; left > 0; left--) {
    const name = read.bytes()?.toString();
    if (name === undefined) throw unreadable('a header has no name');
    const value = read.bytes();
    const others = values.get(name);
    if (others) others.push(value);
    else values.set(name, [value]);
  }
  return Object.fromEntries(
    Array.from(values, ([name, held]) => [name, held.length === 1 ? held[0] : held]),
  ) as IHeaders;
};

/** The fewest bytes that there can be of them. */
const leastRecord = 7;
const leastHeader = 2;

/** Reads on from the beginning; throws where the bytes end before what they announce. */
const createCursor = (bytes: Buffer) => {
  let at = 0;
  const short = () => unreadable('it ends in the middle of a record');
  const unsigned = (longest: number) => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw short();
      if (shift >= longest) throw unreadable('a number has too many bytes');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(longest, value);
    }
  };
  /** Of 32 bits. */
  const varInt = () => {
    const byte = bytes[at];
    if (byte !== undefined && byte < 0x80) {
      at++;
      return (byte >>> 1) ^ -(byte & 1);
    }
    const value = Number(unsigned(32));
    return (value >>> 1) ^ -(value & 1);
  };
  const skip = (count: number) => {
    if (count < 0 || at + count > bytes.length) throw short();
    at += count;
  };
  const length = () => {
    const count = varInt();
    if (count < 0 || at + count > bytes.length) throw short();
    return count;
  };
  return {
    at: () => at,
    left: () => bytes.length - at,
    varInt,
    varLong: () => {
      const value = unsigned(64);
      return (value >> 1n) ^ -(value & 1n);
    },
    skip,
    length,
    /** Null for a length of -1. */
    bytes: (): Buffer | null => {
      const count = varInt();
      if (count === -1) return null;
      skip(count);
      return bytes.subarray(at - count, at);
    },
  };
};

type Cursor = ReturnType<typeof createCursor>;

/** A message or a set of them in a format before Kafka 0.11, which brokers keep as it came. kafkajs decodes it. */
const decodeOldSet = async (bytes: Buffer): Promise<Decoded> => {
  const offset = String(bytes.readBigInt64BE(0));
  const batchContext = { producerId: '-1', inTransaction: false };
  const rest = { ...empty, isControlRecord: false, batchContext };
  try {
    const messages = await decodeMessageSet(new Decoder(bytes), bytes.length);
    return {
      messages: messages.map((message) => ({ timestamp: '-1', ...rest, ...message })),
      cost: bytes.length + overhead * messages.length,
    };
  } catch (error) {
    if (!isFaultOfInput(error)) throw error;
    const reason = `a message set at offset ${offset} cannot be read: ${(error as Error).message}`;
    const unreadable = { reason, firstOffset: offset, lastOffset: offset, records: 1 };
    return { messages: [{ ...rest, offset, timestamp: '-1', unreadable }], cost: bytes.length };
  }
};

const unreadableCode = 'UNREADABLE_BATCH';
/** `cost`: what was decompressed in vain is not kept, but takes memory until it is collected. In bytes. */
const unreadable = (reason: string, cost = 0) =>
  Object.assign(new Error(reason), { code: unreadableCode, cost });
const isUnreadable = (error: unknown): error is ReturnType<typeof unreadable> =>
  (error as { code?: unknown }).code === unreadableCode;
