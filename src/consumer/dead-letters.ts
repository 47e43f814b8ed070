import {
  CompressionTypes,
  type ICustomPartitioner,
  type IHeaders,
  type Kafka,
  type KafkaMessage,
} from 'kafkajs';

/** A message as it came, with its place. */
export type Message = Pick<KafkaMessage, 'key' | 'value' | 'headers' | 'timestamp' | 'offset'> & {
  topic: string;
  partition: number;
};

/** Why a message is not an order that could be stored. `error` is the class of the reason, `reason` one line. */
export type DeadLetter = {
  message: Message;
  stage: 'parse' | 'validate' | 'store';
  error: string;
  reason: string;
};

/** What goes into one request at the most, in bytes, as a topic's limit counts a whole batch; a larger letter goes alone. */
const batchBytes = 524_288;

/** Letters of at least this many bytes are compressed, as the message may have come compressed. */
const compressFrom = 131_072;

/** What the headers that a letter has more than its message take at the most, and a batch's frame, in bytes. */
const headerBytes = 4_096;

/** Answers of Kafka that are about the letters: the same ones would be refused again, for ever. */
const tooLarge = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];
const badTime = 'INVALID_TIMESTAMP';

type Options = {
  kafka: Kafka;
  topic: string;
  /** Lets the topic take a batch of so many bytes. */
  makeRoom: (bytes: number) => Promise<void>;
};

/**
 * Sends what cannot be stored to the dead-letter topic: key, value, headers and timestamp as they came, and the headers
 * by which Kafka Connect tells where a letter comes from and why. Must be connected first.
 */
export const createDeadLetters = ({ kafka, topic, makeRoom }: Options) => {
  // Not idempotent: when kafkajs gives a request up, it uses the request's sequence numbers again for other messages. If
  // Kafka had taken the first ones after all, it acknowledges the others as their repetition, and drops them.
  const producer = kafka.producer({
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner,
  });
  const acknowledged = new WeakSet<DeadLetter>();

  const produce = async (letters: readonly DeadLetter[], isDated: boolean) => {
    await producer.send({
      topic,
      acks: -1,
      compression: sizeOf(letters) >= compressFrom ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: letters.map(({ message, ...why }) => ({
        key: message.key,
        value: message.value,
        ...(isDated && { timestamp: message.timestamp }),
        headers: { ...message.headers, ...reasonHeaders(message, why) } as IHeaders,
      })),
    });
    for (const letter of letters) acknowledged.add(letter);
  };

  /** What Kafka refuses for its content is divided, and then the one letter made to fit. */
  const deliver = async (letters: readonly DeadLetter[], isDated = true): Promise<void> => {
    try {
      await produce(letters, isDated);
    } catch (error) {
      const type = String((error as { type?: unknown }).type);
      if (!tooLarge.includes(type) && type !== badTime) throw error;
      if (letters.length > 1) {
        const middle = Math.ceil(letters.length / 2);
        await deliver(letters.slice(0, middle), isDated);
        await deliver(letters.slice(middle), isDated);
      } else if (type !== badTime) {
        await makeRoom(sizeOf(letters));
        await produce(letters, isDated);
      } else if (isDated) {
        // The topic takes no time so far from now; the letter is worth more than its date.
        await deliver(letters, false);
      } else throw error;
    }
  };

  return {
    connect: () => producer.connect(),
    disconnect: () => producer.disconnect(),
    /**
     * Resolves when all replicas have acknowledged. Rejects with the client's error; some may be in the topic then, and
     * are left out when the same letters are sent again.
     */
    async send(letters: readonly DeadLetter[]): Promise<void> {
      const rest = letters.filter((letter) => !acknowledged.has(letter));
      for (const batch of inBatches(rest)) await deliver(batch);
    },
  };
};

export type DeadLetters = Pick<ReturnType<typeof createDeadLetters>, 'send'>;

/** By key, as others do; but kafkajs's own hash takes 80 s for a key of 1 MB, in which the group gives us up. */
const createPartitioner: ICustomPartitioner =
  () =>
  ({ message, partitionMetadata }) =>
    Bun.hash.crc32(message.key ?? '') % partitionMetadata.length;

const lengthOf = (value: Buffer | string | null | undefined) => (value ? Buffer.byteLength(value) : 0);

/** In bytes, a little more than they take uncompressed. */
const sizeOf = (letters: readonly DeadLetter[]) =>
  letters.reduce((sum, { message: { key, value, headers } }) => {
    let size = headerBytes + lengthOf(key) + lengthOf(value);
    for (const [name, held] of Object.entries(headers ?? {}))
      for (const one of Array.isArray(held) ? held : [held])
        size += 10 + Buffer.byteLength(name) + lengthOf(one);
    return sum + size;
  }, 0);

function* inBatches(letters: readonly DeadLetter[]): Generator<DeadLetter[]> {
  let batch: DeadLetter[] = [];
  let bytes = 0;
  for (const letter of letters) {
    const size = sizeOf([letter]);
    if (batch.length > 0 && bytes + size > batchBytes) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(letter);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

const reasonHeaders = (
  { topic, partition, offset }: Message,
  { stage, error, reason }: Omit<DeadLetter, 'message'>,
): IHeaders => ({
  '__connect.errors.topic': topic,
  '__connect.errors.partition': String(partition),
  '__connect.errors.offset': offset,
  '__connect.errors.stage': stage,
  '__connect.errors.exception.class.name': error,
  '__connect.errors.exception.message': reason,
});
