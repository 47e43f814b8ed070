import type { Kafka, Message } from 'kafkajs';
import type { RetryKafka } from '../kafka/retry.ts';
import { createSender } from '../kafka/sender.ts';
import type { Letter } from './letter.ts';
import { type MarkKind, toMarks } from './marks.ts';

type Options = { kafka: Kafka; topic: string; retryKafka: RetryKafka };

/** Writes marks to the dead-letter topic. Call `connect` first. */
export const createMarker = ({ kafka, topic, retryKafka }: Options) => {
  const sender = createSender<Message>({
    kafka,
    topic,
    toMessage: (message) => message,
    async onTooLarge(_, bytes) {
      throw new Error(`the topic ${topic} accepts no message of ${bytes} bytes: raise its max.message.bytes`);
    },
  });
  return {
    connect: () => retryKafka(() => sender.connect()),
    disconnect: () => sender.disconnect(),
    /** Marks letters of one partition. Resolves when Kafka has acknowledged the marks. */
    async mark(kind: MarkKind, letters: readonly Letter[]): Promise<void> {
      const messages = toMarks(kind, letters);
      await retryKafka(() => sender.send(messages));
    },
  };
};
