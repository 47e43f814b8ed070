import type Decoder from 'kafkajs/src/protocol/decoder.js';
import fetched from 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js';
import { registerCodecs } from './codecs.ts';
import { decodeRecords, type Head, headBytes, headOf, isIntact } from './decode-records.ts';
import {
  type Decoded,
  emptyMessage,
  type FetchedMessage,
  isUnreadable,
  unreadable,
} from './fetched-message.ts';
import { decodeOldSet } from './old-message-set.ts';

/** Kafka's default of a topic's `max.message.bytes`. */
const defaultTopicBytes = 1_048_588;
/** By default a batch may be 16 times as large when it is decompressed. */
const growth = 16;

const createLimit =
  (bytes: number | null, topicBytes = defaultTopicBytes) =>
  (compressed: number): number =>
    bytes ?? growth * Math.max(topicBytes, compressed);

/** State of the module, as kafkajs has one decoder for the whole thread. */
let limitOf = createLimit(null);
/**
 * Sets the limit for the decompressed size of a batch, in the whole thread: `bytes`, or if that is null, 16 times the topic's limit
 * for compressed batches (`topicBytes`), or 16 times the batch's own compressed size if that is more.
 */
export const limitBatches = (bytes: number | null, topicBytes?: number) => {
  limitOf = createLimit(bytes, topicBytes);
};

/** The memory that the messages of a response use so far, in bytes. All partitions of a response share one decoder. */
const costs = new WeakMap<Decoder, number>();

/**
 * Decodes fetched record batches in kafkajs's place. kafkajs trusts every length and count, decompresses without a limit, and
 * fetches a batch that it cannot read again and again. Here such a batch becomes one message with the reason.
 */
export const installDecoder = () => {
  registerCodecs((compressed) => limitOf(compressed));
  fetched.decode = async (decoder) => {
    const size = decoder.readInt32();
    if (size <= 0 || !decoder.canReadBytes(size)) return [];
    const bytes = decoder.readBytes(size);
    const { messages, cost } = await decodeBatches(bytes, limitOf, costs.get(decoder) ?? 0);
    costs.set(decoder, cost);
    return messages;
  };
};

const frameBytes = 12;
const magicAt = 16;

/**
 * Decodes record batches that follow one another; the last one may be cut short. Stops after the batch with which `cost`, in bytes,
 * reaches the limit; the next fetch begins there. Rejects if the bytes are no record batches.
 */
export const decodeBatches = async (bytes: Buffer, limit: (compressed: number) => number, cost = 0) => {
  const messages: FetchedMessage[] = [];
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
    if (magic === 2 && isToBeFetchedAgain(batch)) break;
    const part = await (magic === 2 ? decodeBatch(batch, limit(size), next) : decodeOldSet(batch));
    for (const message of part.messages) messages.push(message);
    spent += part.cost;
  }
  return { messages, cost: spent };
};

/** The number of times a batch with a wrong checksum is fetched before it counts as unreadable: the network may have changed it. */
const fetchAttempts = 3;
/** How often batches with a wrong checksum were fetched, by their first bytes. */
const corrupted = new Map<string, number>();

const isToBeFetchedAgain = (batch: Buffer): boolean => {
  if (isIntact(batch)) return false;
  const name = batch.toString('latin1', 0, 21);
  const seen = (corrupted.get(name) ?? 0) + 1;
  if (corrupted.size > 1_000) corrupted.clear();
  corrupted.set(name, seen);
  return seen < fetchAttempts;
};

const decodeBatch = async (batch: Buffer, limit: number, next: bigint | undefined): Promise<Decoded> => {
  const head = headOf(batch);
  try {
    if (!head.isIntact) throw unreadable('its checksum is wrong');
    return await decodeRecords(batch, head, limit);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    // If the head may be wrong, the last offset in it may be too; after the first offset the broker goes on to the next batch.
    const claimed =
      head.isIntact || head.lastDelta === head.count - 1 ? head.first + BigInt(head.lastDelta) : head.first;
    const last = next !== undefined && claimed >= next ? next - 1n : claimed;
    const message = unreadableMessage(head, last < head.first ? head.first : last, error.message);
    return { messages: [message], cost: error.cost };
  }
};

const unreadableMessage = (head: Head, last: bigint, why: string): FetchedMessage => {
  const reason = `a record batch of ${head.count} records cannot be read, offsets ${head.first} to ${last}: ${why}`;
  const { isControlRecord, batchContext } = head;
  const timestamp = String(head.maxTimestamp);
  const message: FetchedMessage = {
    ...emptyMessage,
    offset: String(last),
    timestamp,
    isControlRecord,
    batchContext,
  };
  if (!isControlRecord)
    message.unreadable = {
      reason,
      firstOffset: String(head.first),
      lastOffset: String(last),
      records: head.count,
    };
  return message;
};
