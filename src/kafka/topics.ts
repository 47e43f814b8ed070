import type { Admin, Kafka } from 'kafkajs';
import { reasonOf } from '../observability/error-reason.ts';
import type { Log } from '../observability/log.ts';
import { checkLetterTopic, type LetterTopic, letterTopicConfig } from './letter-topic.ts';
import { lossRisks, maxMessageBytesOf, onceKnown, readTopicConfigIfAllowed } from './topic-config.ts';

/** What the headers of a dead letter may take besides the message, in bytes. */
const letterHeaderBytes = 65_536;
const dayMs = 86_400_000;

export type Topics = {
  topic: string;
  deadLetterTopic: string;
  partitions: number;
  /** How long dead letters are kept; null or unset: without end. */
  letterRetentionDays?: number | null | undefined;
  /** The size of a dead letter that has to fit, even if `topic` accepts less. */
  letterBytes?: number;
};

/** Creates the topics that are missing. Returns the `max.message.bytes` of `topic`. Rejects with the client's error. */
export const createTopics = (kafka: Kafka, topics: Topics, log: Log): Promise<number> =>
  withAdmin(kafka, async (admin) => (await createMissing(admin, topics, log)).messageBytes);

/**
 * Creates the topics that are missing, and checks the settings of the dead-letter topic: it accepts larger batches than `topic`, by
 * the headers of a dead letter, and keeps them. `risks`: by which settings Kafka may lose records of `topic`, a line each. Rejects with
 * the client's error.
 */
export const ensureTopics = (
  kafka: Kafka,
  topics: Topics,
  log: Log,
): Promise<{ messageBytes: number; risks: string[]; letterTopic: LetterTopic }> =>
  withAdmin(kafka, async (admin) => {
    const { messageBytes, risks, promised } = await createMissing(admin, topics, log);
    return {
      messageBytes,
      risks,
      letterTopic: await checkLetterTopic(admin, topics.deadLetterTopic, promised, log),
    };
  });

/** The `max.message.bytes` of the topic; Kafka's default if this user may not read it. Rejects with the client's error. */
export const readMessageBytes = (kafka: Kafka, topic: string, log: Log): Promise<number> =>
  withAdmin(kafka, async (admin) => maxMessageBytesOf(await readTopicConfigIfAllowed(admin, topic, log)));

const withAdmin = async <T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> => {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
};

const createMissing = async (
  admin: Admin,
  { topic, deadLetterTopic, partitions, letterRetentionDays, letterBytes = 0 }: Topics,
  log: Log,
) => {
  const existing = new Set(await admin.listTopics());
  await createTopic(admin, existing, { topic, numPartitions: partitions }, log);
  const config = await readTopicConfigIfAllowed(admin, topic, log);
  const messageBytes = maxMessageBytesOf(config);
  const promised = {
    maxMessageBytes: Math.max(messageBytes, letterBytes) + letterHeaderBytes,
    retentionMs: letterRetentionDays ? letterRetentionDays * dayMs : -1,
  };
  const configEntries = [...letterTopicConfig(promised)].map(([name, value]) => ({ name, value }));
  await createTopic(
    admin,
    existing,
    { topic: deadLetterTopic, numPartitions: partitions, configEntries },
    log,
  );
  return { messageBytes, risks: lossRisks(config), promised };
};

type NewTopic = Parameters<Admin['createTopics']>[0]['topics'][number];

const createTopic = async (admin: Admin, existing: Set<string>, topic: NewTopic, log: Log) => {
  if (existing.has(topic.topic)) return;
  // False when another process has created it meanwhile.
  const isCreated = await onceKnown(() =>
    admin.createTopics({ topics: [topic], waitForLeaders: true }),
  ).catch((error: Error) => {
    throw Object.assign(error, {
      publicReason: `the topic ${topic.topic} does not exist and cannot be created: ${reasonOf(error)}`,
    });
  });
  if (isCreated) log.info({ topic: topic.topic, partitions: topic.numPartitions }, 'topic created');
};
