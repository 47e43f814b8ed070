import type { Kafka } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { LetterTopic } from '../kafka/letter-topic.ts';
import { ensureTopics, readMessageBytes, type Topics } from '../kafka/topics.ts';
import type { Log } from '../observability/log.ts';
import { warnOnce } from '../observability/warn-once.ts';

/** Topics may be changed, or created again with other settings, while the program runs. */
const checkIntervalMs = 60_000;
/** Hostile batches cause no more than one request in this time. */
const maxReadAgeMs = 3_000;

type Options = {
  kafka: Kafka;
  topics: Topics;
  /** Called with the `max.message.bytes` of the topic, each time it is read. */
  messageBytesRead: (bytes: number) => void;
  log: Log;
  intervalMs?: number | undefined;
};

/** Creates the topics that are missing and checks their settings: when it is asked to, and while it polls. */
export const createTopicCheck = ({
  kafka,
  topics,
  messageBytesRead,
  log,
  intervalMs = checkIntervalMs,
}: Options) => {
  const topicLog = warnOnce(log);
  const stopping = new AbortController();
  let lastRead = { at: Number.NEGATIVE_INFINITY, done: Promise.resolve() };
  let letterTopic: LetterTopic = { keepsTimestamps: true, isCompacted: false };
  let risks: readonly string[] = [];

  /** `letterBytes`: the size of a dead letter that has to fit. */
  const check = async (letterBytes = 0): Promise<void> => {
    const ready = await ensureTopics(kafka, { ...topics, letterBytes }, topicLog);
    letterTopic = ready.letterTopic;
    for (const risk of ready.risks) if (!risks.includes(risk)) log.warn({ topic: topics.topic }, risk);
    risks = ready.risks;
    messageBytesRead(ready.messageBytes);
  };
  const readAgain = async () => {
    try {
      messageBytesRead(await readMessageBytes(kafka, topics.topic, topicLog));
    } catch (cause) {
      lastRead.at = Number.NEGATIVE_INFINITY;
      // kafkajs would fetch again for minutes, in silence.
      const message = 'max.message.bytes of the topic cannot be read, by which large batches are limited';
      throw Object.assign(new Error(message, { cause }), { retriable: false });
    }
  };
  const poll = async () => {
    for (;;) {
      await sleep(intervalMs, stopping.signal);
      if (stopping.signal.aborted) break;
      await check().catch((error) => log.debug({ error }, 'the settings of the topics are not checked'));
    }
  };

  return {
    check,
    /** Resolves when the `max.message.bytes` of the topic has been read, now or a few seconds ago. Rejects if it cannot be read. */
    renewMessageBytes(): Promise<void> {
      const now = performance.now();
      if (now - lastRead.at > maxReadAgeMs) lastRead = { at: now, done: readAgain() };
      return lastRead.done;
    },
    /** What the dead-letter topic does to letters, as it was checked last. */
    letterTopic: () => letterTopic,
    poll: () => void poll(),
    stop: () => stopping.abort(),
  };
};
