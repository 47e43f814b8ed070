import fetched from 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js';
import { registerCodecs } from './codecs.ts';
import {
  damagedMessage,
  faultOf,
  findFollowing,
  isFoundAgain,
  isOld,
  type Range,
  sizeOf,
} from './damaged-batch.ts';
import { decodeRecords, type Head, headOf } from './decode-records.ts';
import { type Decoded, emptyMessage, type FetchedMessage, isUnreadable } from './fetched-message.ts';
import { decodeOldSet } from './old-message-set.ts';

/** Kafka's default of a topic's `max.message.bytes`. */
const defaultTopicBytes = 1_048_588;
/** By default a batch may be 16 times as large when it is decompressed. */
const growth = 16;

const createLimit =
  (bytes: number | null, topicBytes = defaultTopicBytes) =>
  (compressed: number): number =>
    bytes ?? growth * Math.max(topicBytes, compressed);

type RenewLimit = () => Promise<void>;
const keepLimit: RenewLimit = async () => {};

/** State of the module, as kafkajs has one decoder for the whole thread. */
let limitOf = createLimit(null);
let renewLimit = keepLimit;
/**
 * Sets the limit for the decompressed size of a batch, in the whole thread: `bytes`, or if that is null, 16 times the topic's limit
 * for compressed batches (`topicBytes`), or 16 times the batch's own compressed size if that is more. Without `bytes`, `renew` is
 * called before a batch is rejected as over the limit: the topic's may have been raised. It calls this function with the new one.
 */
export const limitBatches = (bytes: number | null, topicBytes?: number, renew = keepLimit) => {
  limitOf = createLimit(bytes, topicBytes);
  renewLimit = bytes === null ? renew : keepLimit;
};

/** The memory that the messages of a response use so far, in bytes. */
const costs = new WeakMap<object, number>();

/**
 * Decodes fetched record batches in kafkajs's place. kafkajs trusts every length and count, decompresses without a limit, and
 * fetches a batch that it cannot read again and again. Here such a batch becomes one message with the reason.
 */
export const installDecoder = () => {
  registerCodecs((compressed) => limitOf(compressed));
  fetched.decode = decodeFetched;
};

/** What a response has for a topic: `abortedTransactions` are those that reach into what was fetched. */
type FetchedTopic = { partitions: readonly { messages: unknown; abortedTransactions?: readonly object[] }[] };

/** Decodes what a fetch that began at `fetchedOffset` brought for a partition, as the installed decoder leaves it in bytes. */
export const decodeFetched = async (
  bytes: Buffer,
  {
    response,
    fetchedOffset,
    highWatermark,
  }: { response: readonly FetchedTopic[]; fetchedOffset: string; highWatermark: string },
): Promise<FetchedMessage[]> => {
  const range = { from: BigInt(fetchedOffset), end: BigInt(highWatermark) };
  const part = response.flatMap(({ partitions }) => partitions).find(({ messages }) => messages === bytes);
  const hasAborted = (part?.abortedTransactions ?? []).length > 0;
  const spent = costs.get(response) ?? 0;
  const { messages, cost } = await decodeBatches(bytes, (compressed) => limitOf(compressed), range, {
    cost: spent,
    hasAborted,
    renewLimit: () => renewLimit(),
  });
  costs.set(response, cost);
  return messages;
};

/**
 * Decodes the record batches that a fetch brought for a partition. They follow one another; the last one may be cut short. Stops
 * after the batch with which `cost`, in bytes, reaches the limit; the next fetch begins there. A damaged batch is fetched three
 * times, if Kafka can find it again; then it is one message without a value, and the next whole batch follows. `hasAborted`: Kafka
 * lists aborted transactions with the batches; then decoding also stops after a damaged one, as that may have been the end of such a
 * transaction, without which all later messages of its producer would count as aborted. The next fetch has a list of its own.
 * `renewLimit`: called before a batch is rejected as over the limit, which is then asked for again. Rejects if that does.
 */
export const decodeBatches = async (
  bytes: Buffer,
  limit: (compressed: number) => number,
  range: Omit<Range, 'isFirst'>,
  { cost = 0, hasAborted = false, renewLimit = keepLimit } = {},
) => {
  const messages: FetchedMessage[] = [];
  let spent = cost;
  let from = range.from;
  for (let at = 0; at < bytes.length && (spent === 0 || spent < limit(0)); ) {
    const rest = bytes.subarray(at);
    const size = sizeOf(rest);
    // Kafka sends the first batch whole.
    if (at > 0 && (size === undefined || size > rest.length)) break;
    const left = { from, end: range.end, isFirst: messages.length === 0 };
    const fault = faultOf(rest, left);
    if (fault === undefined && size !== undefined) {
      const batch = rest.subarray(0, size);
      const part = await decodeWithin(batch, limit, renewLimit);
      for (const message of part.messages) messages.push(message);
      spent += part.cost;
      at += size;
    } else {
      if (isFoundAgain(rest, left) && isToBeFetchedAgain(rest)) break;
      const following = findFollowing(rest, left);
      at += following?.at ?? rest.length;
      // It ended before: Kafka found it by a last offset that is too high.
      if (following && following.first <= from) continue;
      messages.push(damagedMessage(rest, left, following, fault ?? ''));
      if (hasAborted) break;
    }
    from = BigInt(messages.at(-1)?.offset ?? from) + 1n;
  }
  return { messages, cost: spent };
};

/** The number of times a damaged batch is fetched before it counts as unreadable: the network may have changed it. */
const fetchAttempts = 3;
/** How often damaged batches were fetched, by their first bytes. */
const damaged = new Map<string, number>();

const isToBeFetchedAgain = (bytes: Buffer): boolean => {
  const name = bytes.toString('latin1', 0, 21);
  const seen = (damaged.get(name) ?? 0) + 1;
  if (damaged.size > 1_000) damaged.clear();
  damaged.set(name, seen);
  return seen < fetchAttempts;
};

const decodeWithin = async (
  batch: Buffer,
  limit: (compressed: number) => number,
  renewLimit: RenewLimit,
): Promise<Decoded> => {
  const decode = () => (isOld(batch) ? decodeOldSet(batch) : decodeBatch(batch, limit(batch.length)));
  const before = limit(0);
  const decoded = await decode();
  if (!decoded.isOverLimit) return decoded;
  await renewLimit();
  return limit(0) > before ? decode() : decoded;
};

const decodeBatch = async (batch: Buffer, limit: number): Promise<Decoded> => {
  const head = headOf(batch);
  try {
    return await decodeRecords(batch, head, limit);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    const last = head.first + BigInt(head.lastDelta);
    const { message, cost, isOverLimit } = error;
    return { messages: [unreadableMessage(head, last, message)], cost, isOverLimit };
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
