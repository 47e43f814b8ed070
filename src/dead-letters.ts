import { CompressionTypes, type IHeaders, type KafkaMessage, type Producer } from 'kafkajs';

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

/** Letters of at least this many bytes are compressed, as the message may have come compressed, and must fit as it did. */
const compressFrom = 131_072;

/**
 * Sends what cannot be stored to the dead-letter topic: key, value, headers and timestamp as they came, and the headers
 * by which Kafka Connect tells where a letter comes from and why. Resolves when all replicas have acknowledged; rejects
 * with the client's error, and then some of the letters may be in the topic.
 */
export const createDeadLetters = ({ producer, topic }: { producer: Producer; topic: string }) => ({
  async send(letters: readonly DeadLetter[]): Promise<void> {
    for (const batch of inBatches(letters)) {
      await producer.send({
        topic,
        acks: -1,
        compression: sizeOf(batch) >= compressFrom ? CompressionTypes.GZIP : CompressionTypes.None,
        messages: batch.map(({ message, ...why }) => ({
          key: message.key,
          value: message.value,
          timestamp: message.timestamp,
          headers: { ...cleaned(message.headers), ...reasonHeaders(message, why) },
        })),
      });
    }
  },
});

export type DeadLetters = ReturnType<typeof createDeadLetters>;

const sizeOf = (letters: readonly DeadLetter[]) =>
  letters.reduce((sum, { message }) => sum + (message.value?.length ?? 0), 0);

function* inBatches(letters: readonly DeadLetter[]): Generator<DeadLetter[]> {
  let batch: DeadLetter[] = [];
  for (const letter of letters) {
    if (batch.length > 0 && sizeOf(batch) + sizeOf([letter]) > batchBytes) {
      yield batch;
      batch = [];
    }
    batch.push(letter);
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

/** kafkajs gives headers without a value that it then refuses to send. */
const cleaned = (headers: IHeaders | undefined): IHeaders =>
  Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map((one) => one ?? '') : (value ?? ''),
    ]),
  );
