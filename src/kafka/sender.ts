import { CompressionTypes, type ICustomPartitioner, type Kafka, type Message } from 'kafkajs';
import { retry } from '../async/retry.ts';
import { acknowledgedBefore } from './acknowledged.ts';
import { errorTypeOf } from './error-type.ts';

/** The size of a request. A topic's limit counts a whole batch; a message that is larger is sent alone. */
const batchBytes = 524_288;

/** Requests of at least this size are compressed, as the messages may fit the topic only because they came compressed. */
const compressFromBytes = 131_072;

/**
 * How long a broker may wait for its replicas: somewhat longer than Kafka needs by default to go on without one that has died
 * (`broker.session.timeout.ms`, 9 s). After it the messages are sent again, to the new leader if there is one.
 */
const acknowledgeTimeoutMs = 12_000;

/** An upper bound, in bytes, of what a message takes besides its key, value and headers, and of a batch's frame. */
const frameBytes = 512;

/** How often a message is sent again after its topic's limit was raised, which takes about 5 s, and at most how long. */
const limitRetries = 6;
const limitTimeoutMs = 60_000;

/** Kafka's errors about the messages themselves, which it would refuse again. */
export const tooLarge = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];
const badTimestamp = 'INVALID_TIMESTAMP';

/** Whether Kafka refuses a message, or a batch, as too large for its topic. */
export const isTooLarge = (error: unknown) => tooLarge.some((type) => type === errorTypeOf(error));

type Options<T> = {
  kafka: Kafka;
  topic: string;
  toMessage: (item: T) => Message;
  /**
   * Called with an item that is too large for the topic, even alone. Resolves with true to send it again, as the topic accepts
   * `bytes` now, and with false to go on without it.
   */
  onTooLarge: (item: T, bytes: number) => Promise<boolean>;
  /**
   * Called with a message whose timestamp the topic refuses; returns what is sent in its place. Default: the message without a
   * timestamp.
   */
  withoutTimestamp?: (message: Message) => Message;
};

type Entry<T> = { item: T; message: Message; bytes: number };

/**
 * Sends messages that must not be lost to one topic, in batches. What a partition refuses as too large is halved until it fits; a
 * timestamp that the topic refuses is left out. What was acknowledged is never sent again. Must be connected first.
 */
export const createSender = <T extends object>({
  kafka,
  topic,
  toMessage,
  onTooLarge,
  withoutTimestamp = ({ timestamp: _, ...message }) => message,
}: Options<T>) => {
  // Not idempotent: after a request that failed, kafkajs uses its sequence numbers again for other messages. If Kafka stored the
  // first messages after all, it treats the others as duplicates, acknowledges them, and drops them.
  const producer = kafka.producer({
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner,
  });
  const acknowledged = new WeakSet<T>();

  const produce = async (entries: readonly Entry<T>[], withTimestamps: boolean) => {
    const messages = entries.map(({ message }) => (withTimestamps ? message : withoutTimestamp(message)));
    try {
      await producer.send({
        topic,
        acks: -1,
        timeout: acknowledgeTimeoutMs,
        compression: sumOf(entries) >= compressFromBytes ? CompressionTypes.GZIP : CompressionTypes.None,
        messages,
      });
    } catch (error) {
      const before = acknowledgedBefore(error);
      for (const [at, { item }] of entries.entries())
        if (before.has(messages[at] as Message)) acknowledged.add(item);
      throw error;
    }
    for (const { item } of entries) acknowledged.add(item);
  };

  /** Kafka answers that a limit is raised before its brokers use it. */
  const produceOnceAccepted = (entry: Entry<T>, withTimestamps: boolean) => {
    let refusals = 0;
    return retry(() => produce([entry], withTimestamps), {
      signal: AbortSignal.timeout(limitTimeoutMs),
      isFinal: (error) => !isTooLarge(error) || ++refusals > limitRetries,
    });
  };

  const deliver = async (entries: readonly Entry<T>[], withTimestamps = true): Promise<void> => {
    try {
      await produce(entries, withTimestamps);
    } catch (error) {
      const isBadTimestamp = errorTypeOf(error) === badTimestamp;
      if (!isTooLarge(error) && !isBadTimestamp) throw error;
      const refused = entries.filter(({ item }) => !acknowledged.has(item));
      const [entry] = refused;
      if (refused.length > 1) {
        const middle = Math.ceil(refused.length / 2);
        await deliver(refused.slice(0, middle), withTimestamps);
        await deliver(refused.slice(middle), withTimestamps);
      } else if (entry && !isBadTimestamp) {
        if (await onTooLarge(entry.item, entry.bytes)) await produceOnceAccepted(entry, withTimestamps);
      } else if (withTimestamps) {
        // The topic refuses timestamps so far from now. Better no timestamp than no message.
        await deliver(refused, false);
      } else throw error;
    }
  };

  return {
    connect: () => producer.connect(),
    disconnect: () => producer.disconnect(),
    /**
     * Resolves when all in-sync replicas have acknowledged. Rejects with the client's error; items that were acknowledged by then
     * are left out when the same objects are sent again.
     */
    async send(items: readonly T[]): Promise<void> {
      const rest = items.filter((item) => !acknowledged.has(item));
      for (const batch of batchesOf(rest, toMessage)) await deliver(batch);
    },
  };
};

/**
 * Chooses the message's own partition, if it exists, and otherwise one by the key. By CRC-32, as kafkajs's own hash takes 80 s for a
 * key of 1 MB, during which the member would lose its partitions.
 */
const createPartitioner: ICustomPartitioner =
  () =>
  ({ message: { key, partition }, partitionMetadata }) =>
    partition !== undefined && partition < partitionMetadata.length
      ? partition
      : Bun.hash.crc32(key ?? '') % partitionMetadata.length;

const lengthOf = (value: Buffer | string | null | undefined) => (value ? Buffer.byteLength(value) : 0);

/** An upper bound of the uncompressed size, in bytes. */
const sizeOf = ({ key, value, headers }: Message) => {
  let size = frameBytes + lengthOf(key) + lengthOf(value);
  for (const [name, values] of Object.entries(headers ?? {}))
    for (const one of Array.isArray(values) ? values : [values])
      size += 10 + Buffer.byteLength(name) + lengthOf(one);
  return size;
};

const sumOf = (entries: readonly { bytes: number }[]) => entries.reduce((sum, { bytes }) => sum + bytes, 0);

function* batchesOf<T>(items: readonly T[], toMessage: (item: T) => Message): Generator<Entry<T>[]> {
  let batch: Entry<T>[] = [];
  let sum = 0;
  for (const item of items) {
    const message = toMessage(item);
    const bytes = sizeOf(message);
    if (batch.length > 0 && sum + bytes > batchBytes) {
      yield batch;
      batch = [];
      sum = 0;
    }
    batch.push({ item, message, bytes });
    sum += bytes;
  }
  if (batch.length > 0) yield batch;
}
