import { type Admin, ConfigResourceTypes, type Kafka } from 'kafkajs';
import { retry } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';

/** Room for the headers that a dead letter has more than the message it was, in bytes. */
const headerRoom = 65_536;

type Topics = {
  topic: string;
  deadLetterTopic: string;
  partitions: number;
  /** Of a dead letter that has to fit, whatever `topic` takes. */
  letterBytes?: number;
};

/**
 * Makes the topics that are missing. The dead-letter topic takes whatever `topic` takes, and headers; letters are kept
 * until somebody deletes them. A dead-letter topic that is there already has its `max.message.bytes` raised if need be.
 * Resolves with the limit of `topic` for a batch, in bytes. Rejects with the client's error.
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
    const room = Math.max(bytes, letterBytes) + headerRoom;
    const deadLetters = {
      topic: topics.deadLetterTopic,
      numPartitions: topics.partitions,
      configEntries: [
        { name: 'max.message.bytes', value: String(room) },
        { name: 'retention.ms', value: '-1' },
      ],
    };
    await createTopic(admin, existing, deadLetters, log);
    await raiseMessageLimit(admin, topics.deadLetterTopic, room, log);
    return bytes;
  } finally {
    await admin.disconnect();
  }
};

type NewTopic = Parameters<Admin['createTopics']>[0]['topics'][number];

const createTopic = async (admin: Admin, existing: Set<string>, topic: NewTopic, log: Log) => {
  if (existing.has(topic.topic)) return;
  // False when another process was first.
  const made = await onceKnown(() => admin.createTopics({ topics: [topic], waitForLeaders: true }));
  if (made) log.info({ topic: topic.topic, partitions: topic.numPartitions }, 'topic created');
};

/** A topic that another process has just made may not be known to every broker for a moment. */
const onceKnown = <T>(question: () => Promise<T>): Promise<T> => {
  let refusals = 0;
  const isUnknown = (error: unknown) =>
    (error as { type?: unknown }).type === 'UNKNOWN_TOPIC_OR_PARTITION' && ++refusals <= 5;
  return retry(question, { signal: AbortSignal.timeout(10_000), isFinal: (error) => !isUnknown(error) });
};

const setOnTopic = 1;

/** The topic's limit for a batch of messages, in bytes, and all that was set on the topic itself. */
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
    set: entries.filter((entry) => Number(entry.configSource) === setOnTopic),
  };
};

const raiseMessageLimit = async (admin: Admin, topic: string, bytes: number, log: Log) => {
  const limit = await messageLimit(admin, topic);
  if (limit.bytes >= bytes) return;
  // The request replaces everything that was set on the topic, so the rest goes with it.
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
