/** The way of a message in the tests: a topic, a group and a database of their own, and consumers between them. */
import type { IHeaders, KafkaMessage, Message as Sent } from 'kafkajs';
import type { Batch } from '../../src/ingest/batch.ts';
import { createCommitState } from '../../src/ingest/commit-state.ts';
import { createConsumer } from '../../src/ingest/consumer.ts';
import { createDeadLetters } from '../../src/ingest/dead-letter.ts';
import type { Fence } from '../../src/ingest/fence.ts';
import { createIngest, type Outcome } from '../../src/ingest/ingest.ts';
import { createPositions } from '../../src/ingest/positions.ts';
import type { StartOffset } from '../../src/ingest/start-offset.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { createStore } from '../../src/postgres/store.ts';
import { brokers, silent, testDatabase, topicName, until } from './kafka-and-postgres.ts';

export const kafkaClient = async (addresses?: string[]) =>
  createKafka({ brokers: addresses ?? (await brokers()), ssl: false, sasl: undefined }, 'test', silent);

export type Letter = Pick<KafkaMessage, 'key' | 'value' | 'timestamp'> & { headers: IHeaders };

/** All that is in a topic, partition after partition, in order. */
export const readTopic = async (topic: string, addresses?: string[]): Promise<Letter[]> => {
  const kafka = await kafkaClient(addresses);
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

type Process = (batch: Batch, signal: AbortSignal) => Promise<Outcome>;
type Around = (process: Process) => (batch: Batch, signal: AbortSignal) => Promise<unknown>;

export const openPipeline = async ({
  partitions = 1,
  addresses,
}: {
  partitions?: number;
  addresses?: string[];
} = {}) => {
  const kafka = await kafkaClient(addresses);
  const topic = topicName();
  const deadLetterTopic = `${topic}_dlq`;
  const topics = { topic, deadLetterTopic, partitions };
  await ensureTopics(kafka, topics, silent);
  const admin = kafka.admin();
  await admin.connect();
  const producer = kafka.producer({ maxInFlightRequests: 1 });
  await producer.connect();
  const database = await testDatabase();
  const store = createStore(database.sql);
  const offsets = createOffsets(database.sql);
  const group = { groupId: topic, topic };
  const members: { stop(): Promise<void> }[] = [];

  const ends = async () =>
    new Map((await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]));
  const committed = async () => {
    // A group that has just been made may have no coordinator yet.
    const [group] = await until(() =>
      admin.fetchOffsets({ groupId: topic, topics: [topic] }).catch(() => undefined),
    );
    return new Map(
      group?.partitions.map(({ partition, offset }) => [partition, Math.max(0, Number(offset))]),
    );
  };
  /** Resolves when everything that is in the topic is committed. */
  const drained = (ms = 20_000) =>
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
      // By the hundred, as a request has to fit the topic's limit.
      for (let at = 0; at < messages.length; at += 100)
        await producer.send({ topic, messages: messages.slice(at, at + 100), ...more });
      return true;
    },
    letters: () => readTopic(deadLetterTopic, addresses),
    async setLimit(bytes: number) {
      const configEntries = [{ name: 'max.message.bytes', value: String(bytes) }];
      await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] });
    },
    /** A member of the group, from now on. `around` may delay or spoil what it does with a batch. */
    join(around: Around = (process) => process) {
      const outcomes: Outcome[] = [];
      const fences: Fence['reason'][] = [];
      const starts: ({ partition: number } & StartOffset)[] = [];
      let assigned: number[] = [];
      const kafkaState = createServiceState('Kafka', silent);
      const deadLetters = createDeadLetters({
        kafka,
        topic: deadLetterTopic,
        raiseLimit: (letterBytes) => ensureTopics(kafka, { ...topics, letterBytes }, silent),
      });
      const postgres = createServiceState('PostgreSQL', silent);
      const ingest = createIngest({
        group,
        store,
        offsets,
        deadLetters,
        postgres,
        kafka: kafkaState,
      });
      const process = around(async (batch, signal) => {
        const outcome = await ingest(batch, signal);
        outcomes.push(outcome);
        return outcome;
      });
      const commits = createCommitState(silent, () => {});
      const consumer = createConsumer({
        kafka,
        group,
        positions: createPositions({
          kafka,
          group,
          offsets,
          postgres,
          kafkaState,
          began: (partition, start) => starts.push({ partition, ...start }),
          log: silent,
        }),
        readOffsets: () => offsets.read(group),
        prepare: async () => {
          await ensureTopics(kafka, topics, silent);
          await deadLetters.connect();
        },
        process: async (batch, signal) => void (await process(batch, signal)),
        state: kafkaState,
        commits,
        log: silent,
        progress: {
          fetched() {},
          committed() {},
          assigned(now) {
            assigned = now;
          },
          fenced: (reason) => fences.push(reason),
        },
      });
      consumer.start();
      const member = {
        outcomes,
        fences,
        /** Where each assignment of a partition began. */
        starts,
        assigned: () => assigned,
        reason: kafkaState.reason,
        async stop() {
          await consumer.stop();
          await deadLetters.disconnect();
        },
      };
      members.push(member);
      return member;
    },
    async [Symbol.asyncDispose]() {
      for (const member of members) await member.stop();
      await Promise.all([producer.disconnect(), admin.disconnect()]);
      await database[Symbol.asyncDispose]();
    },
  };
};
