import type { IHeaders, Kafka } from 'kafkajs';
import { isCausedBy } from '../kafka/error-type.ts';
import { header, type LetterStage } from '../kafka/headers.ts';
import type { LetterTopic } from '../kafka/letter-topic.ts';
import { digestOf, type Message } from '../kafka/message.ts';
import { createSender, isTooLarge } from '../kafka/sender.ts';
import { reasonOf } from '../observability/error-reason.ts';

/** A message that could not be stored as an order, and why. `error` is the class of the reason, `reason` one line. */
export type DeadLetter = {
  message: Message;
  stage: LetterStage;
  error: string;
  reason: string;
};

type Options = {
  kafka: Kafka;
  topic: string;
  /** What the topic does to letters, as it was checked last. */
  letterTopic?: () => LetterTopic;
  /** Creates the topic if it is missing, and checks it again, so that it accepts a letter of `bytes`. */
  checkTopic: (bytes: number) => Promise<unknown>;
};

/** The topic was deleted, or cannot keep such a record, as a compacted one cannot keep one without a key. */
const topicChanged = ['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_RECORD'];
/** Errors of one topic, and not of Kafka. */
const topicErrors = [
  'TOPIC_AUTHORIZATION_FAILED',
  'LEADER_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
];

/**
 * Sends messages to the dead-letter topic: key, value, headers and timestamp unchanged, and Kafka Connect's headers for the
 * origin and the reason. Where the topic would not keep the letter in this form, it is changed, and further headers have the
 * original. Must be connected first.
 */
export const createDeadLetters = ({
  kafka,
  topic,
  letterTopic = () => ({ keepsTimestamps: true, isCompacted: false }),
  checkTopic,
}: Options) => {
  let refusedBytes = 0;
  const sender = createSender<DeadLetter>({
    kafka,
    topic,
    toMessage: (letter) => toRecord(letter, letterTopic()),
    withoutTimestamp: ({ timestamp, ...message }) => ({
      ...message,
      headers: { [header.originalTimestamp]: timestamp as string, ...message.headers },
    }),
    async onTooLarge(_, bytes) {
      refusedBytes = bytes;
      await checkTopic(bytes);
      return true;
    },
  });
  return {
    ...sender,
    async send(letters: readonly DeadLetter[]): Promise<void> {
      try {
        await sender.send(letters);
      } catch (error) {
        if (isTooLarge(error)) throw explainTooLarge(error as Error, topic, refusedBytes);
        if (!isCausedBy(error, topicChanged)) throw explainRefused(error as Error, topic);
        // The topic may have become a compacted one, or must be created again.
        await checkTopic(0);
        await sender.send(letters);
      }
    },
  };
};

/** Nothing gets past such a letter, as it would be lost: an operator has to run the command. The error remains that of the client. */
const explainTooLarge = (error: Error, topic: string, bytes: number) =>
  Object.assign(error, {
    publicReason: `a dead letter of ${bytes} bytes is larger than max.message.bytes of the topic ${topic}, which may not be raised: run kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name ${topic} --add-config max.message.bytes=${bytes}`,
  });

/** The client's error, with the topic in its reason if it is the topic's. */
const explainRefused = (error: Error, topic: string) =>
  isCausedBy(error, topicErrors)
    ? Object.assign(error, {
        publicReason: `letters cannot be written to the dead-letter topic ${topic}: ${reasonOf(error)}`,
      })
    : error;

const toRecord = ({ message, ...why }: DeadLetter, { keepsTimestamps, isCompacted }: LetterTopic) => {
  const { key, value, timestamp } = message;
  const headers: IHeaders = { ...message.headers, ...reasonHeaders(message, why) };
  // Those of the message itself say nothing about this letter.
  for (const name of originalHeaders) delete headers[name];
  if (!keepsTimestamps) headers[header.originalTimestamp] = timestamp;
  if (!isCompacted) return { key, value, timestamp: keepsTimestamps ? timestamp : `${Date.now()}`, headers };
  // A key of its own, or compaction deletes letters of the same order; and a value, or it deletes this one.
  return {
    key: `letter ${message.topic}/${message.partition}/${message.offset} ${digestOf(message)}`,
    value: value ?? Buffer.alloc(0),
    timestamp: keepsTimestamps ? timestamp : `${Date.now()}`,
    headers: {
      ...headers,
      [header.originalKey]: key as Buffer,
      ...(value === null && { [header.originalValue]: value as never }),
    },
  };
};

const originalHeaders = [header.originalTimestamp, header.originalKey, header.originalValue];

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
