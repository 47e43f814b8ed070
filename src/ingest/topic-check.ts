import type { Kafka } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { LetterTopic } from '../kafka/letter-topic.ts';
import { ensureTopics, type Topics } from '../kafka/topics.ts';
import type { Log } from '../observability/log.ts';
import { warnOnce } from '../observability/warn-once.ts';

/** Topics may be changed, or created again with other settings, while the program runs. */
const checkIntervalMs = 60_000;

type Options = { kafka: Kafka; topics: Topics; log: Log; intervalMs?: number | undefined };

/** Creates the topics that are missing and checks their settings: when it is asked to, and while it polls. */
export const createTopicCheck = ({ kafka, topics, log, intervalMs = checkIntervalMs }: Options) => {
  const topicLog = warnOnce(log);
  const stopping = new AbortController();
  let letterTopic: LetterTopic = { keepsTimestamps: true, isCompacted: false };
  let risks: readonly string[] = [];

  /** `letterBytes`: the size of a dead letter that has to fit. Returns the `max.message.bytes` of the topic. */
  const check = async (letterBytes = 0): Promise<number> => {
    const ready = await ensureTopics(kafka, { ...topics, letterBytes }, topicLog);
    letterTopic = ready.letterTopic;
    for (const risk of ready.risks) if (!risks.includes(risk)) log.warn({ topic: topics.topic }, risk);
    risks = ready.risks;
    return ready.messageBytes;
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
    /** What the dead-letter topic does to letters, as it was checked last. */
    letterTopic: () => letterTopic,
    poll: () => void poll(),
    stop: () => stopping.abort(),
  };
};
