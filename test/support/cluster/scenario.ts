import postgres from 'postgres';
import type { startCluster } from '../../../scripts/services/cluster.ts';
import { createKafka } from '../../../src/kafka/client.ts';
import { createStore } from '../../../src/postgres/store.ts';
import { silent, uniqueName } from '../database.ts';
import type { Sent } from '../faults/stream.ts';
import { type Replica, startReplica } from '../replica.ts';
import { startProxy } from '../tcp-proxy.ts';
import { until } from '../until.ts';
import { controlBrokers } from './brokers.ts';
import { openFeed } from './feed.ts';
import { keysOf } from './kcat.ts';
import { type Row, rows } from './report.ts';
import { startWatch } from './watch.ts';

export type Cluster = Awaited<ReturnType<typeof startCluster>>;
export type Scenario = Awaited<ReturnType<typeof openScenario>>;

/** After the last fault is over, everything that was sent has to be stored and committed within this time, in ms. */
const settledWithinMs = 120_000;
const pollIntervalMs = 200;
/** Documents are compared in batches; of a large backlog a sample. */
const comparedAtOnce = 1_000;
const maxCompared = 10_000;

export type ScenarioOptions = {
  cluster: Cluster;
  /** The name of the scenario in the report. */
  name: string;
  partitions?: number;
  replicationFactor?: number;
  settings?: Record<string, string>;
  /** A PostgreSQL and a Redis of the scenario's own. */
  database?: Cluster['postgres'];
  cache?: Cluster['redis'];
  /** For the program's environment. */
  environment?: Record<string, string>;
};

/** A topic and a database of the scenario's own, both behind names that may be pointed to another server, and the program on them. */
export const openScenario = async (options: ScenarioOptions) => {
  const { cluster, name, partitions = 12, replicationFactor = 3, settings = {}, environment = {} } = options;
  const list = cluster.kafka.map((node) => node.brokers);
  const kafka = createKafka({ brokers: list, ssl: false, sasl: undefined }, 'faults', silent);
  const brokers = controlBrokers(cluster.kafka, kafka);
  const topic = uniqueName('orders');
  const deadLetterTopic = `${topic}_dlq`;
  const configEntries = Object.entries(settings).map(([setting, value]) => ({ name: setting, value }));
  await brokers.withAdmin((admin) =>
    admin.createTopics({
      waitForLeaders: false,
      topics: [
        { topic, numPartitions: partitions, replicationFactor, configEntries },
        {
          topic: deadLetterTopic,
          numPartitions: 3,
          replicationFactor: 3,
          configEntries: [{ name: 'max.message.bytes', value: '1200000' }],
        },
      ],
    }),
  );

  await brokers.waitForTopics([topic, deadLetterTopic]);

  const addressOf = (url: string) => ({ hostname: '127.0.0.1', port: Number(new URL(url).port) });
  let primary = (options.database ?? cluster.postgres).primary.url;
  let cache = (options.cache ?? cluster.redis).primary.url;
  const databaseName = startProxy(() => addressOf(primary));
  const cacheName = startProxy(() => addressOf(cache));
  const database = uniqueName('test');
  const on = (server: string) => Object.assign(new URL(server), { pathname: `/${database}` }).href;
  const named = Object.assign(new URL(on(primary)), { port: databaseName.port }).href;
  const ask = async <T>(server: string, question: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
    const sql = postgres(server, { max: 1, connect_timeout: 5, onnotice() {} });
    return question(sql).finally(() => sql.end({ timeout: 1 }));
  };
  await ask(primary, (sql) => sql.unsafe(`create database ${database}`));

  const replicas: Replica[] = [];
  const watch = startWatch(named, replicas);
  const feeds: { [Symbol.dispose]: () => void }[] = [];

  const stored = () =>
    ask(named, async (sql) => {
      const [row] = await sql<{ count: number }[]>`select count(*)::int as count from orders`;
      return row?.count ?? 0;
    }).catch(() => 0);

  /** The next offset to read of each partition, as the group has committed it. */
  const committedOffsets = () =>
    brokers.withAdmin(async (admin) => {
      const [group] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
      return new Map(group?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
    });
  /** Whether the group has committed everything. */
  const isCommitted = async () => {
    const ends = await brokers.withAdmin((admin) => admin.fetchTopicOffsets(topic));
    const committed = await committedOffsets();
    return ends.every(({ partition, high }) => high === '0' || committed.get(partition) === BigInt(high));
  };

  /** The partitions whose stored offset is not the end of the log. */
  const wrongStoredOffsets = async (sql: postgres.Sql): Promise<string[]> => {
    const ends = await brokers.withAdmin((admin) => admin.fetchTopicOffsets(topic));
    const stored = await sql<{ partition: number; next: string }[]>`
      select partition, next_offset as next from consumed_offsets where topic = ${topic}`;
    const next = new Map(stored.map((row) => [row.partition, row.next]));
    return ends
      .filter(({ partition, high }) => high !== '0' && next.get(partition) !== high)
      .map(
        ({ partition, high }) =>
          `partition ${partition} ends at ${high} and is stored up to ${next.get(partition)}`,
      );
  };

  return {
    brokers,
    topic,
    deadLetterTopic,
    groupId: topic,
    watch,
    replicas,
    databaseName,
    cacheName,
    /** The database's URL on the server that has this one. */
    on,
    named,
    ask,
    stored,
    committedOffsets,
    /** How many messages the group has committed; 0 while it is unknown. */
    committed: () =>
      committedOffsets().then(
        (offsets) =>
          Number([...offsets.values()].reduce((sum, offset) => (offset > 0n ? sum + offset : sum), 0n)),
        () => 0,
      ),
    /** The name resolves to this server from now on; open connections stay, unless they are cut. */
    pointDatabaseTo(url: string, { cut = true } = {}) {
      primary = url;
      if (!cut) return;
      databaseName.cut();
      databaseName.resume();
    },
    pointCacheTo(url: string, { cut = true } = {}) {
      cache = url;
      if (!cut) return;
      cacheName.cut();
      cacheName.resume();
    },
    /** One more replica of the program. */
    async replica(more: Record<string, string> = {}) {
      const replica = await startReplica({
        KAFKA_BROKERS: brokers.all,
        KAFKA_TOPIC: topic,
        KAFKA_DLQ_TOPIC: deadLetterTopic,
        KAFKA_GROUP_ID: topic,
        DATABASE_URL: named,
        REDIS_URL: `redis://127.0.0.1:${cacheName.port}`,
        ...environment,
        ...more,
      });
      replicas.push(replica);
      return replica;
    },
    feed(seed: number, { conflicts = true } = {}) {
      const feed = openFeed({ brokers: brokers.all, topic, seed, conflicts });
      feeds.push(feed);
      return feed;
    },
    /** Waits until `orders` more orders are stored; the stream continues. */
    async progress(orders: number, withinMs = 120_000) {
      const goal = (await stored()) + orders;
      await until(
        polledSlowly(async () => (await stored()) >= goal),
        withinMs,
      );
    },
    /**
     * Waits until all that was sent is stored and committed, and puts the scenario's row into the report; throws with what is missing,
     * misplaced or only half there.
     */
    async settle(
      sent: Sent,
      { gone = new Set<string>(), within = settledWithinMs, optional = new Set<string>() } = {},
    ) {
      const begun = Date.now();
      const wanted = [...sent.orders.keys()].filter((uid) => !gone.has(uid));
      const isDone = async () => (await stored()) >= wanted.length && (await isCommitted());
      const done = await until(
        polledSlowly(() => isDone().catch(() => false)),
        within,
      ).catch(() => false);
      const wrong: string[] = [];
      if (!done && !(await isCommitted().catch(() => false))) wrong.push('not everything is committed');
      const settledMs = Date.now() - begun;
      await watch.stop();

      const sql = postgres(named, { max: 4, onnotice() {} });
      const store = createStore(sql);
      wrong.push(...(await wrongStoredOffsets(sql)));
      const found = await sql<{ order_uid: string }[]>`select order_uid from orders`;
      const uids = new Set(found.map((row) => row.order_uid));
      const lost = wanted.filter((uid) => !uids.has(uid));
      for (const uid of uids) if (!sent.orders.has(uid)) wrong.push(`stored though never sent: ${uid}`);
      const compared = [...uids].slice(-maxCompared);
      for (let from = 0; from < compared.length; from += comparedAtOnce) {
        const documents = await store.findAll(compared.slice(from, from + comparedAtOnce));
        for (const [uid, document] of documents) {
          if (document !== JSON.stringify(sent.orders.get(uid))) wrong.push(`not as it was sent: ${uid}`);
        }
      }
      await sql.end({ timeout: 1 });
      const letters = await keysOf(brokers.all, deadLetterTopic);
      const lettered = new Set(letters);
      const badWithoutLetter = [...sent.bad].filter((key) => !lettered.has(key) && !gone.has(key));
      for (const key of lettered)
        if (!sent.bad.has(key) && !optional.has(key)) wrong.push(`a dead letter though good: ${key}`);

      const row: Row = {
        scenario: name,
        sent: wanted.length,
        stored: uids.size,
        lost: lost.length,
        bad: sent.bad.size,
        letters: lettered.size,
        repeatedLetters: letters.length - lettered.size,
        longest: watch.longest(),
        settledMs,
        seconds: watch.seconds(),
        reasons: watch.reasons(),
        warnings: warningsOf(replicas),
      };
      rows.push(row);
      for (const uid of lost) wrong.push(`lost: ${uid}`);
      for (const key of badWithoutLetter) wrong.push(`bad and no dead letter: ${key}`);
      if (wrong.length > 0) throw new Error(`${wrong.length} wrong: ${wrong.slice(0, 10).join('; ')}`);
      return row;
    },
    async [Symbol.asyncDispose]() {
      for (const feed of feeds) feed[Symbol.dispose]();
      await watch.stop();
      await Promise.all(replicas.filter((replica) => replica.running()).map((replica) => replica.kill9()));
      await databaseName[Symbol.asyncDispose]();
      await cacheName[Symbol.asyncDispose]();
      await brokers.recover(topic);
      await brokers.withAdmin((admin) => admin.deleteTopics({ topics: [topic, deadLetterTopic] }));
    },
  };
};

/** Polls less often than `until` does: counting and connecting take processor time from the program. */
const polledSlowly =
  <T>(probe: () => Promise<T>) =>
  async () => {
    await Bun.sleep(pollIntervalMs);
    return probe();
  };

/** What the replicas logged at `warn` and above, and how often. */
const warningsOf = (replicas: readonly Replica[]) => {
  const counts = new Map<string, number>();
  for (const line of replicas.flatMap(({ log }) => log)) {
    if (!/"level":("?(warn|error|fatal)|[456]0)/.test(line)) continue;
    const { msg, reason } = JSON.parse(line) as { msg?: string; reason?: string };
    const text = reason ? `${msg}: ${reason}` : String(msg);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
};
