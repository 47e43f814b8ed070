import { type Admin, ConfigResourceTypes, type Kafka } from 'kafkajs';
import { retry } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';

/** What the headers of a dead letter may take besides the message, in bytes. */
const letterHeaderBytes = 65_536;

type Topics = {
  topic: string;
  deadLetterTopic: string;
  partitions: number;
  /** The size of a dead letter that has to fit, even if `topic` accepts less. */
  letterBytes?: number;
};

/**
 * Creates the topics that are missing. The dead-letter topic accepts larger batches than `topic`, by the headers of a dead letter, and
 * keeps them without end; if it exists and accepts less, its `max.message.bytes` is raised. Returns the `max.message.bytes` of
 * `topic`. Rejects with the client's error.
 */
export const ensureTopics = async (
  kafka: Kafka,
  { letterBytes = 0, ...topics }: Topics,
  log: Log,
): Promise<number> => {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const existing = new Set(await admin.listTopics());
    await createTopic(admin, existing, { topic: topics.topic, numPartitions: topics.partitions }, log);

    const { bytes } = await messageLimit(admin, topics.topic);
    const deadLetterBytes = Math.max(bytes, letterBytes) + letterHeaderBytes;
    const deadLetters = {
      topic: topics.deadLetterTopic,
      numPartitions: topics.partitions,
      configEntries: [
        { name: 'max.message.bytes', value: String(deadLetterBytes) },
        { name: 'retention.ms', value: '-1' },
      ],
    };
    await createTopic(admin, existing, deadLetters, log);
    await raiseMessageLimit(admin, topics.deadLetterTopic, deadLetterBytes, log);
    return bytes;
  } finally {
    await admin.disconnect();
  }
};

type NewTopic = Parameters<Admin['createTopics']>[0]['topics'][number];

const createTopic = async (admin: Admin, existing: Set<string>, topic: NewTopic, log: Log) => {
  if (existing.has(topic.topic)) return;
  // False when another process has created it meanwhile.
  const isCreated = await onceKnown(() => admin.createTopics({ topics: [topic], waitForLeaders: true }));
  if (isCreated) log.info({ topic: topic.topic, partitions: topic.numPartitions }, 'topic created');
};

/** Repeats the request while a broker does not know the topic yet: one that was just created takes a moment to reach them all. */
const onceKnown = <T>(request: () => Promise<T>): Promise<T> => {
  let refusals = 0;
  const isUnknown = (error: unknown) =>
    (error as { type?: unknown }).type === 'UNKNOWN_TOPIC_OR_PARTITION' && ++refusals <= 5;
  return retry(request, { signal: AbortSignal.timeout(10_000), isFinal: (error) => !isUnknown(error) });
};

/** Kafka's `ConfigSource` of settings of the topic itself, as opposed to defaults. */
const dynamicTopicConfig = 1;

/** The topic's `max.message.bytes`, and all settings of the topic itself. */
const messageLimit = async (admin: Admin, topic: string) => {
  const { resources } = await onceKnown(() =>
    admin.describeConfigs({
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      includeSynonyms: false,
    }),
  );
  const entries = resources[0]?.configEntries ?? [];
  const limit = entries.find((entry) => entry.configName === 'max.message.bytes');
  return {
    bytes: Number(limit?.configValue ?? 1_048_588),
    set: entries.filter((entry) => Number(entry.configSource) === dynamicTopicConfig),
  };
};

const raiseMessageLimit = async (admin: Admin, topic: string, bytes: number, log: Log) => {
  const limit = await messageLimit(admin, topic);
  if (limit.bytes >= bytes) return;
  // The request replaces all settings of the topic, so it has to repeat the others.
  const kept = limit.set
    .filter((entry) => entry.configName !== 'max.message.bytes')
    .map((entry) => ({ name: entry.configName, value: entry.configValue }));
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [...kept, { name: 'max.message.bytes', value: String(bytes) }],
      },
    ],
  });
  log.info(
    { topic, from: limit.bytes, to: bytes },
    'max.message.bytes raised, so that every dead letter fits',
  );
};
