/**
 * Memory of the program and latency of cached lookups while a backlog drains, and how much the lookups slow down the ingest. The
 * backlog is drained twice, once alone and once under 1,000 lookups/s (open loop: latency counts from the time a request was due).
 *
 *   bun --env-file=.services/env bench/backlog.ts [orders]
 *
 * Needs KAFKA_BROKERS and DATABASE_URL, whose user may create a database; Linux, for the memory.
 */

import { createKafka } from '../src/kafka/client.ts';
import { ensureTopics } from '../src/kafka/topics.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase, silent, uniqueName } from '../test/support/database.ts';
import { startReplica } from '../test/support/replica.ts';

const count = Number(process.argv[2] ?? 1_000_000);
const batch = 1_000;
const partitions = 8;
const cached = 1_000;
const lookupsPerSecond = 1_000;

const { KAFKA_BROKERS, DATABASE_URL } = process.env;
if (!KAFKA_BROKERS || !DATABASE_URL)
  throw new Error('Set KAFKA_BROKERS and DATABASE_URL: bun run services up');

const topic = uniqueName('bench');
const kafka = createKafka(
  { brokers: KAFKA_BROKERS.split(','), ssl: false, sasl: undefined },
  'bench',
  silent,
);
await ensureTopics(kafka, { topic, deadLetterTopic: `${topic}_dlq`, partitions }, silent);
const producer = kafka.producer({ idempotent: true });
await producer.connect();
const make = createOrderMaker({ seed: 1 });
const send = async (orders: number) => {
  const uids: string[] = [];
  for (let sent = 0; sent < orders; sent += batch) {
    const messages = Array.from({ length: Math.min(batch, orders - sent) }, make).map((order) => ({
      key: order.order_uid,
      value: JSON.stringify(order),
    }));
    uids.push(...messages.map(({ key }) => key));
    await producer.send({ topic, acks: -1, messages });
  }
  return uids;
};
const first = await send(cached);
console.log(`filling the topic with ${count} orders …`);
await send(count);
await producer.disconnect();

const megabytes = async (pid: number, what: 'VmRSS' | 'VmHWM') =>
  Number(new RegExp(`${what}:\\s+(\\d+)`).exec(await Bun.file(`/proc/${pid}/status`).text())?.[1]) / 1024;

/** Looks up orders at a steady rate until `over` is aborted. Resolves with the latencies in ms. */
const lookUp = async (url: string, uids: readonly string[], over: AbortSignal) => {
  const took: number[] = [];
  const running = new Set<Promise<void>>();
  const begun = performance.now();
  for (let asked = 0; !over.aborted; ) {
    const due = ((performance.now() - begun) / 1000) * lookupsPerSecond;
    for (; asked < due; asked++) {
      const dueAt = begun + (asked / lookupsPerSecond) * 1000;
      const one = fetch(`${url}/order/${uids[asked % uids.length]}`)
        .then(async (response) => {
          await response.arrayBuffer();
          if (response.status !== 200) throw new Error(`${response.status}`);
          took.push(performance.now() - dueAt);
        })
        .finally(() => running.delete(one));
      running.add(one);
    }
    await Bun.sleep(1);
  }
  await Promise.all(running);
  return took.sort((a, b) => a - b);
};

const drain = async (withLookups: boolean) => {
  await using database = await createDatabase(DATABASE_URL);
  const stored = async () => {
    const [row] = await database.sql<{ count: number }[]>`select max(id)::int as count from orders`;
    return row?.count ?? 0;
  };
  const replica = await startReplica({
    KAFKA_BROKERS,
    KAFKA_TOPIC: topic,
    KAFKA_DLQ_TOPIC: `${topic}_dlq`,
    KAFKA_GROUP_ID: uniqueName('bench'),
    DATABASE_URL: database.url,
    LOG_LEVEL: 'info',
  });
  while ((await stored()) < cached * 2) await Bun.sleep(20);
  const over = new AbortController();
  const known: string[] = [];
  for (const uid of first) if ((await fetch(`${replica.url}/order/${uid}`)).ok) known.push(uid);
  const looking = withLookups ? lookUp(replica.url, known, over.signal) : Promise.resolve([]);
  const begun = performance.now();
  const before = await stored();
  while ((await stored()) < count + cached) await Bun.sleep(50);
  const rate = (count + cached - before) / ((performance.now() - begun) / 1000);
  over.abort();
  const took = await looking;
  const memory = await megabytes(replica.pid, 'VmHWM');
  await replica.stop();
  return { rate, took, memory };
};

const alone = await drain(false);
console.log(
  `alone:         ${Math.round(alone.rate)} orders/s, at most ${Math.round(alone.memory)} MB resident`,
);
const both = await drain(true);
const at = (share: number) => both.took[Math.floor(both.took.length * share)]?.toFixed(1);
console.log(
  `with lookups:  ${Math.round(both.rate)} orders/s (${(both.rate / alone.rate).toFixed(2)} of alone), at most ${Math.round(both.memory)} MB resident`,
);
console.log(
  `${both.took.length} lookups, ${lookupsPerSecond}/s: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(0.999999)} ms`,
);
const admin = kafka.admin();
await admin.connect();
await admin.deleteTopics({ topics: [topic, `${topic}_dlq`] });
await admin.disconnect();
process.exit(0);
