import type { IHeaders, Kafka } from 'kafkajs';
import { header } from '../kafka/headers.ts';
import type { Message } from '../kafka/message.ts';
import { createSender } from '../kafka/sender.ts';

/** A message that could not be stored as an order, and why. `error` is the class of the reason, `reason` one line. */
export type DeadLetter = {
  message: Message;
  stage: 'parse' | 'validate' | 'store';
  error: string;
  reason: string;
};

type Options = {
  kafka: Kafka;
  topic: string;
  /** Raises the limit of the topic, so that it accepts a batch of `bytes`. */
  raiseLimit: (bytes: number) => Promise<unknown>;
};

/**
 * Sends messages to the dead-letter topic: key, value, headers and timestamp unchanged, and Kafka Connect's headers for the
 * origin and the reason. Must be connected first.
 */
export const createDeadLetters = ({ kafka, topic, raiseLimit }: Options) =>
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
      await raiseLimit(bytes);
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
