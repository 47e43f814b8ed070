import type { Kafka } from 'kafkajs';
import { startServices } from '../../../scripts/services/start.ts';
import { createKafka } from '../../../src/kafka/client.ts';
import { ensureTopics } from '../../../src/kafka/topics.ts';
import { createStore } from '../../../src/postgres/store.ts';
import { createDatabase, silent, uniqueName } from '../database.ts';
import { type Replica, startReplica } from '../replica.ts';
import { until } from '../until.ts';
import { type Sent, startStream } from './stream.ts';

export type Scenario = Awaited<ReturnType<typeof openScenario>>;

/** After the last fault is over, everything that was sent has to be stored and committed within this time, in ms. */
const settledWithin = 90_000;

/** Starts the services in this folder that do not run yet. */
export const servicesIn = (dir: string) => startServices({ dir, which: ['kafka', 'postgres', 'redis'] });

/** Services that may be stopped or frozen, a topic and a database of its own, and the program on them. */
export const openScenario = async (dir: string) => {
  const services = await servicesIn(dir);
  const { kafka, postgres, redis } = services;
  const brokers = kafka.gives.KAFKA_BROKERS as string;
  const database = await createDatabase(postgres.gives.DATABASE_URL as string);
  const client = createKafka({ brokers: brokers.split(','), ssl: false, sasl: undefined }, 'faults', silent);
  const topic = uniqueName('orders');
  const deadLetterTopic = `${topic}_dlq`;
  await ensureTopics(client, { topic, deadLetterTopic, partitions: 4 }, silent);
  const replicas: Replica[] = [];

  return {
    services,
    database,
    /** Ends every connection to the database but ours. */
    disconnectAll: () =>
      database.sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name <> 'order-lookup test'`,
    /** One more replica of the program. */
    async replica(more: Record<string, string> = {}) {
      const replica = await startReplica({
        ...more,
        KAFKA_BROKERS: brokers,
        KAFKA_TOPIC: topic,
        KAFKA_DLQ_TOPIC: deadLetterTopic,
        KAFKA_GROUP_ID: topic,
        DATABASE_URL: database.url,
        REDIS_URL: redis.gives.REDIS_URL as string,
      });
      replicas.push(replica);
      return replica;
    },
    stream: (seed: number, perSecond = 200) => startStream(client, topic, seed, perSecond),
    /** How many orders are stored. */
    async stored() {
      const [row] = await database.sql<{ count: number }[]>`select count(*)::int as count from orders`;
      return row?.count ?? 0;
    },
    /** Waits until all that was sent is stored and committed; throws with what is missing, misplaced or only half there. */
    async settle(sent: Sent) {
      const admin = client.admin();
      await admin.connect();
      await until(() => isCommitted(admin, topic), settledWithin).catch(() => {});
      const wrong: string[] = [];
      if (!(await isCommitted(admin, topic))) wrong.push('not everything is committed');
      await admin.disconnect();

      const store = createStore(database.sql);
      const rows = await database.sql<{ order_uid: string }[]>`select order_uid from orders`;
      const stored = new Set(rows.map((row) => row.order_uid));
      for (const uid of sent.orders.keys()) if (!stored.has(uid)) wrong.push(`lost: ${uid}`);
      for (const uid of stored) if (!sent.orders.has(uid)) wrong.push(`stored though never sent: ${uid}`);
      const documents = await store.findAll([...stored]);
      for (const [uid, document] of documents) {
        if (document !== JSON.stringify(sent.orders.get(uid))) wrong.push(`not as it was sent: ${uid}`);
      }
      const letters = await keysOf(client, deadLetterTopic);
      for (const key of sent.bad) if (!letters.has(key)) wrong.push(`bad and no dead letter: ${key}`);
      for (const key of letters) if (!sent.bad.has(key)) wrong.push(`a dead letter though good: ${key}`);
      if (wrong.length > 0) throw new Error(`${wrong.length} wrong: ${wrong.slice(0, 10).join('; ')}`);
      return { orders: stored.size, letters: letters.size };
    },
    async [Symbol.asyncDispose]() {
      for (const service of Object.values(services)) service.thaw();
      await Promise.all(replicas.filter((replica) => replica.running()).map((replica) => replica.kill9()));
      for (const service of Object.values(services)) if (!service.running()) await service.start();
      await database[Symbol.asyncDispose]();
    },
  };
};

/** Whether the group has committed everything; an unknown offset counts as not committed. */
const isCommitted = async (admin: ReturnType<Kafka['admin']>, topic: string): Promise<boolean> => {
  const ends = await admin.fetchTopicOffsets(topic);
  const [group] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
  const committed = new Map(group?.partitions.map(({ partition, offset }) => [partition, offset]));
  return ends.every(({ partition, high }) => high === '0' || committed.get(partition) === high);
};

const keysOf = async (kafka: Kafka, topic: string): Promise<Set<string>> => {
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const keys = new Set<string>();
  const rest = new Map(
    ends.filter(({ high }) => high !== '0').map(({ partition, high }) => [partition, BigInt(high) - 1n]),
  );
  const consumer = kafka.consumer({ groupId: uniqueName('reader'), maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    async eachMessage({ partition, message }) {
      keys.add(String(message.key));
      if (BigInt(message.offset) >= (rest.get(partition) ?? -1n)) rest.delete(partition);
    },
  });
  await until(() => rest.size === 0, 30_000);
  await consumer.disconnect();
  return keys;
};
