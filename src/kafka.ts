import {
  type Admin,
  ConfigResourceTypes,
  Kafka,
  type KafkaConfig,
  KafkaJSError,
  logLevel,
  type SASLOptions,
} from 'kafkajs';
import { type Brokers, createBrokers } from './brokers.ts';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import { installDecoder } from './record-batches.ts';
import { unlessAborted, untilDone } from './retry.ts';
import { oneLine } from './service-state.ts';

/** How to reach Kafka; plain data, so that it can be sent to a worker. */
export type KafkaAddress = {
  brokers: string[];
  /** Whether there is TLS; the certificate and key in PEM, where Kafka asks for one. The broker's is always verified. */
  ssl: boolean | { cert: string; key: string };
  sasl: SASLOptions | undefined;
};

export const kafkaAddress = (config: Config, brokers: string[]): KafkaAddress => ({
  brokers,
  ssl:
    config.kafkaSsl && config.kafkaCertificate && config.kafkaKey
      ? { cert: config.kafkaCertificate, key: config.kafkaKey }
      : config.kafkaSsl,
  sasl: config.saslMechanism
    ? {
        mechanism: config.saslMechanism as 'plain',
        username: config.saslUsername,
        password: config.saslPassword,
      }
    : undefined,
});

/**
 * A client. kafkajs calls an error what is an ordinary change of state (a rebalance, a connection lost), and repeats it;
 * so its lines are ours at level `debug`, and who uses the client logs the changes of state.
 */
export const createKafka = (
  { brokers: configured, ssl, sasl }: KafkaAddress,
  clientId: string,
  log: Log,
  brokers: Brokers = createBrokers(configured, log),
): Kafka => {
  installDecoder();
  const config: KafkaConfig = {
    clientId,
    // kafkajs itself begins each client with the first of the list, and forgets what it has learned of the cluster.
    brokers: () => [brokers.next()],
    socketFactory: brokers.connect,
    ssl,
    connectionTimeout: 3_000,
    // What may rightly take longer has a longer one of its own. A broker that is silent for so long is left.
    requestTimeout: 5_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 5 },
    logLevel: logLevel.INFO,
    logCreator:
      () =>
      ({ namespace, log: { message, timestamp: _, logger: __, ...details } }) =>
        log.debug({ kafkajs: namespace, ...details }, message),
  };
  if (sasl) config.sasl = sasl;
  return new Kafka(config);
};

/** Whether it is no use to try again: Kafka is there, and refuses; or it is no error of Kafka's. */
export const isFinal = (error: unknown): boolean => {
  if (!(error instanceof KafkaJSError)) return true;
  // kafkajs wraps what it gave up on in an error that is not retriable, whatever the cause.
  return error.cause instanceof Error ? isFinal(error.cause) : !error.retriable;
};

/** Does what asks Kafka, again if need be, but not for ever. */
export type Patiently = <T>(work: () => Promise<T>) => Promise<T>;

/** For commands, which somebody waits for: after `ms` without an answer of Kafka's it rejects with a line that says so. */
export const patientFor =
  (ms: number, brokers: string): Patiently =>
  async (work) => {
    const signal = AbortSignal.timeout(ms);
    let reason = '';
    const failed = (error: unknown) => {
      reason = `: ${oneLine(error)}`;
    };
    try {
      return await unlessAborted(signal, untilDone(work, { signal, isFinal, failed }));
    } catch (error) {
      throw error === signal.reason ? new Error(`Kafka at ${brokers} does not answer${reason}`) : error;
    }
  };

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
  return untilDone(question, { signal: AbortSignal.timeout(10_000), isFinal: (error) => !isUnknown(error) });
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
