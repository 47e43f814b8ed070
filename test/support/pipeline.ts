/** A topic, a group and a database for one test, and members of the group between them. */
import { type IHeaders, Kafka, type KafkaMessage, logLevel, type Message as Sent } from 'kafkajs';
import type { Fence } from '../../src/ingest/fence.ts';
import type { BatchOutcome, Ingest } from '../../src/ingest/ingest.ts';
import type { KnownOffsets } from '../../src/ingest/lag.ts';
import { createPipeline, type PipelineSettings } from '../../src/ingest/pipeline.ts';
import type { StartOffset } from '../../src/ingest/start-offset.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { installDecoder } from '../../src/kafka/record-batches.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import type { Log } from '../../src/observability/log.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { createStore } from '../../src/postgres/store.ts';
import { brokers, silent, testDatabase, topicName, until } from './kafka-and-postgres.ts';

export const kafkaClient = async (addresses?: string[]) =>
  createKafka({ brokers: addresses ?? (await brokers()), ssl: false, sasl: undefined }, 'test', silent);

/**
 * A client of the test itself. The program's gives up a request after 5 s and tries again; a test mostly asks once, and on a busy
 * machine Kafka may take longer.
 */
export const patientKafkaClient = async (addresses?: string[]) => {
  installDecoder();
  return new Kafka({
    clientId: 'test',
    brokers: addresses ?? (await brokers()),
    connectionTimeout: 20_000,
    requestTimeout: 30_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 5 },
    logLevel: logLevel.NOTHING,
  });
};

export type Letter = Pick<KafkaMessage, 'key' | 'value' | 'timestamp'> & { headers: IHeaders };

/** All messages of a topic, partition after partition, in order. */
export const readTopic = async (topic: string, addresses?: string[]): Promise<Letter[]> => {
  const kafka = await patientKafkaClient(addresses);
  const admin = kafka.admin();
  await admin.connect();
  const ends = (await admin.fetchTopicOffsets(topic)).filter(({ low, high }) => low !== high);
  await admin.disconnect();
  const found = ends.map(({ partition }) => ({ partition, letters: [] as Letter[], isRead: false }));
  const consumer = kafka.consumer({ groupId: topicName(), maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    async eachMessage({ partition, message: { key, value, timestamp, headers = {}, offset } }) {
      const part = found.find((one) => one.partition === partition);
      part?.letters.push({ key, value, timestamp, headers });
      if (part && BigInt(offset) >= BigInt(ends.find((end) => end.partition === partition)?.high ?? 0) - 1n)
        part.isRead = true;
    },
  });
  await until(() => found.every(({ isRead }) => isRead));
  await consumer.disconnect();
  return found.sort((a, b) => a.partition - b.partition).flatMap(({ letters }) => letters);
};

type Around = (ingest: Ingest) => Ingest;

export const openPipeline = async ({
  partitions = 1,
  addresses,
  settings = {},
  log = silent,
  topicCheckIntervalMs,
  isolation = '',
}: {
  partitions?: number;
  addresses?: string[];
  settings?: Partial<PipelineSettings>;
  log?: Log;
  topicCheckIntervalMs?: number;
  /** The default of the database's transactions; unset: the server's. */
  isolation?: string;
} = {}) => {
  const [kafka, patientKafka] = await Promise.all([kafkaClient(addresses), patientKafkaClient(addresses)]);
  const topic = topicName();
  const deadLetterTopic = `${topic}_dlq`;
  const topics = { topic, deadLetterTopic, partitions };
  await ensureTopics(patientKafka, topics, silent);
  const admin = patientKafka.admin();
  await admin.connect();
  const producer = patientKafka.producer({ maxInFlightRequests: 1 });
  await producer.connect();
  const database = await testDatabase({ isolation });
  const store = createStore(database.sql);
  const offsets = createOffsets(database.sql);
  const group = { groupId: topic, topic };
  const members: { stop(): Promise<void> }[] = [];

  const ends = async () =>
    new Map((await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]));
  const committed = async () => {
    // A new group may have no coordinator yet.
    const [group] = await until(() =>
      admin.fetchOffsets({ groupId: topic, topics: [topic] }).catch(() => undefined),
    );
    return new Map(
      group?.partitions.map(({ partition, offset }) => [partition, Math.max(0, Number(offset))]),
    );
  };
  /** Resolves when the group has committed the end of the topic. */
  const drained = (ms = 60_000) =>
    until(async () => {
      const [last, done] = [await ends(), await committed()];
      return [...last].every(([partition, offset]) => done.get(partition) === offset);
    }, ms);

  return {
    kafka,
    admin,
    topic,
    deadLetterTopic,
    database,
    store,
    offsets,
    group,
    committed,
    /** The stored offsets in the database, by partition. */
    async storedOffsets() {
      const held = await offsets.read(group);
      return new Map([...held].map(([partition, { nextOffset }]) => [partition, Number(nextOffset)]));
    },
    drained,
    async send(messages: Sent[], more: object = {}) {
      // 100 in a request, which has to fit the topic's limit.
      for (let at = 0; at < messages.length; at += 100)
        await producer.send({ topic, messages: messages.slice(at, at + 100), ...more });
      return true;
    },
    letters: () => readTopic(deadLetterTopic, addresses),
    async setLimit(bytes: number) {
      const configEntries = [{ name: 'max.message.bytes', value: String(bytes) }];
      await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] });
    },
    /** Starts a member of the group, or of another one by its settings. `around` may delay ingest, or let it fail. */
    join(around: Around = (ingest) => ingest, own: Partial<PipelineSettings> = {}) {
      const outcomes: BatchOutcome[] = [];
      const fences: Fence['reason'][] = [];
      const starts: ({ partition: number } & StartOffset)[] = [];
      let assigned: number[] = [];
      let joins = 0;
      const polled = new Map<number, KnownOffsets>();
      const fetched = new Map<number, bigint>();
      const member = createPipeline({
        kafka,
        sql: database.sql,
        settings: { ...topics, groupId: group.groupId, rules: defaultRules, ...settings, ...own },
        observer: {
          processed() {},
          progress: {
            fetched: (partition, first) => void fetched.set(partition, first),
            committed() {},
            polled: (partition, offsets) => void polled.set(partition, offsets),
            assigned(now) {
              joins++;
              assigned = now;
            },
            started: (partition, start) => starts.push({ partition, ...start }),
            fenced: (reason) => fences.push(reason),
          },
        },
        stateChanged() {},
        log,
        topicCheckIntervalMs,
        wrapIngest: (ingest) =>
          around(async (batch, signal) => {
            const outcome = await ingest(batch, signal);
            outcomes.push(outcome);
            return outcome;
          }),
      });
      members.push(member);
      return {
        outcomes,
        fences,
        /** The start offset of each assignment of a partition. */
        starts,
        assigned: () => assigned,
        joins: () => joins,
        /** What the member knows of the end and the committed offset of each partition. */
        polled,
        /** The first offset of the last fetch of each partition. */
        fetched,
        state: member.state,
        failingSeconds: member.partitionsFailingSeconds,
        reason: () => member.state().kafka,
        stop: member.stop,
      };
    },
    async [Symbol.asyncDispose]() {
      for (const member of members) await member.stop();
      await Promise.all([producer.disconnect(), admin.disconnect()]);
      await database[Symbol.asyncDispose]();
    },
  };
};
