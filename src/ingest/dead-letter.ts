import type { IHeaders, Kafka, KafkaMessage } from 'kafkajs';
import { header } from '../kafka/headers.ts';
import type { Unreadable } from '../kafka/record-batches.ts';
import { createSender } from '../kafka/sender.ts';

/** A message as it came, with its place. */
export type Message = Pick<KafkaMessage, 'key' | 'value' | 'headers' | 'timestamp' | 'offset'> & {
  topic: string;
  partition: number;
  /** In place of the messages of a batch that cannot be read; then there is no value. */
  unreadable?: Unreadable;
};

/** Why a message is not an order that could be stored. `error` is the class of the reason, `reason` one line. */
export type DeadLetter = {
  message: Message;
  stage: 'parse' | 'validate' | 'store';
  error: string;
  reason: string;
};

/** What tells a message from another one that had the same offset before its topic was made anew. */
export const digestOf = ({ key, value, timestamp }: Message): string => {
  const hasher = new Bun.CryptoHasher('sha256').update(timestamp);
  for (const part of [key, value])
    hasher.update(part === null ? ' none ' : ` ${part.length} `).update(part ?? '');
  return hasher.digest('base64');
};

type Options = {
  kafka: Kafka;
  topic: string;
  /** Lets the topic take a batch of so many bytes. */
  makeRoom: (bytes: number) => Promise<unknown>;
};

/**
 * Sends what cannot be stored to the dead-letter topic: key, value, headers and timestamp as they came, and the headers
 * by which Kafka Connect tells where a letter comes from and why. Must be connected first.
 */
export const createDeadLetters = ({ kafka, topic, makeRoom }: Options) =>
  createSender<DeadLetter>({
    kafka,
    topic,
    toMessage: ({ message, ...why }) => ({
      key: message.key,
      value: message.value,
      timestamp: message.timestamp,
      headers: { ...message.headers, ...reasonHeaders(message, why) } as IHeaders,
    }),
    async onTooLarge(_, bytes) {
      await makeRoom(bytes);
      return true;
    },
  });

export type DeadLetters = Pick<ReturnType<typeof createDeadLetters>, 'send'>;

const reasonHeaders = (
  { topic, partition, offset, unreadable }: Message,
  { stage, error, reason }: Omit<DeadLetter, 'message'>,
): IHeaders => ({
  [header.topic]: topic,
  [header.partition]: String(partition),
  [header.offset]: unreadable?.firstOffset ?? offset,
  [header.stage]: stage,
  [header.error]: error,
  [header.reason]: reason,
});
