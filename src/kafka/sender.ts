import { CompressionTypes, type ICustomPartitioner, type Kafka, type Message } from 'kafkajs';

/** What goes into one request at the most, in bytes, as a topic's limit counts a whole batch; a larger message goes alone. */
const batchBytes = 524_288;

/** Messages of at least this many bytes are compressed, as the ones that they were may have come compressed. */
const compressFrom = 131_072;

/**
 * A broker may wait for its replicas so long, in ms: somewhat longer than Kafka by default needs to do without one that
 * has died (`broker.session.timeout.ms`, 9 s). Then the messages are sent again, and to the next leader if there is one.
 */
const acknowledgedWithin = 12_000;

/** What a message takes besides its key, value and headers at the most, and a batch's frame, in bytes. */
const frameBytes = 512;

/** Answers of Kafka that are about the messages: the same ones would be refused again, for ever. */
const tooLarge = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];
const badTime = 'INVALID_TIMESTAMP';

type Options<T> = {
  kafka: Kafka;
  topic: string;
  toMessage: (item: T) => Message;
  /**
   * Is told of an item that is too large for the topic, of `bytes`, even alone. Resolves with true if it fits now, and
   * with false to go on without it.
   */
  onTooLarge: (item: T, bytes: number) => Promise<boolean>;
};

type Entry<T> = { item: T; message: Message; bytes: number };

/**
 * Sends messages that must arrive, whatever they hold, to one topic, in batches. What Kafka refuses for its content is
 * divided until it fits; a time that the topic refuses is left out. Must be connected first.
 */
export const createSender = <T extends object>({ kafka, topic, toMessage, onTooLarge }: Options<T>) => {
  // Not idempotent: when kafkajs gives a request up, it uses the request's sequence numbers again for other messages. If
  // Kafka had taken the first ones after all, it acknowledges the others as their repetition, and drops them.
  const producer = kafka.producer({
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner,
  });
  const acknowledged = new WeakSet<T>();

  const produce = async (entries: readonly Entry<T>[], isDated: boolean) => {
    await producer.send({
      topic,
      acks: -1,
      timeout: acknowledgedWithin,
      compression: sumOf(entries) >= compressFrom ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: entries.map(({ message: { timestamp, ...message } }) =>
        isDated && timestamp !== undefined ? { ...message, timestamp } : message,
      ),
    });
    for (const { item } of entries) acknowledged.add(item);
  };

  const deliver = async (entries: readonly Entry<T>[], isDated = true): Promise<void> => {
    try {
      await produce(entries, isDated);
    } catch (error) {
      const type = String((error as { type?: unknown }).type);
      if (!tooLarge.includes(type) && type !== badTime) throw error;
      const [entry] = entries;
      if (entries.length > 1) {
        const middle = Math.ceil(entries.length / 2);
        await deliver(entries.slice(0, middle), isDated);
        await deliver(entries.slice(middle), isDated);
      } else if (entry && type !== badTime) {
        if (await onTooLarge(entry.item, entry.bytes)) await produce(entries, isDated);
      } else if (isDated) {
        // The topic takes no time so far from now; the message is worth more than its date.
        await deliver(entries, false);
      } else throw error;
    }
  };

  return {
    connect: () => producer.connect(),
    disconnect: () => producer.disconnect(),
    /**
     * Resolves when all replicas have acknowledged. Rejects with the client's error; some may be in the topic then, and
     * are left out when the same items are sent again.
     */
    async send(items: readonly T[]): Promise<void> {
      const rest = items.filter((item) => !acknowledged.has(item));
      for (const batch of inBatches(rest, toMessage)) await deliver(batch);
    },
  };
};

export type Sender<T extends object> = ReturnType<typeof createSender<T>>;

/**
 * To the partition that is asked for, if there is such a one; otherwise by key, as others do. But kafkajs's own hash
 * takes 80 s for a key of 1 MB, in which the group gives us up.
 */
const createPartitioner: ICustomPartitioner =
  () =>
  ({ message: { key, partition }, partitionMetadata }) =>
    partition !== undefined && partition < partitionMetadata.length
      ? partition
      : Bun.hash.crc32(key ?? '') % partitionMetadata.length;

const lengthOf = (value: Buffer | string | null | undefined) => (value ? Buffer.byteLength(value) : 0);

/** In bytes, a little more than it takes uncompressed. */
const sizeOf = ({ key, value, headers }: Message) => {
  let size = frameBytes + lengthOf(key) + lengthOf(value);
  for (const [name, held] of Object.entries(headers ?? {}))
    for (const one of Array.isArray(held) ? held : [held])
      size += 10 + Buffer.byteLength(name) + lengthOf(one);
  return size;
};

const sumOf = (entries: readonly { bytes: number }[]) => entries.reduce((sum, { bytes }) => sum + bytes, 0);

function* inBatches<T>(items: readonly T[], toMessage: (item: T) => Message): Generator<Entry<T>[]> {
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
