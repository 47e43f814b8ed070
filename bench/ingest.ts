/**
 * Ingest rate from Kafka into PostgreSQL, as a ratio to PostgreSQL's own limit: (a) psql's COPY of the same orders into the same
 * tables over two connections, (b) the store alone, (c) the whole pipeline from a filled topic to committed offsets.
 *
 *   bun --env-file=.services/env bench/ingest.ts [orders]
 *
 * Needs KAFKA_BROKERS and DATABASE_URL, whose user may create a database, and psql.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompressionTypes, type Producer } from 'kafkajs';
import { startConsumerThread } from '../src/ingest/thread.ts';
import { createKafka } from '../src/kafka/client.ts';
import { ensureTopics } from '../src/kafka/topics.ts';
import type { Order } from '../src/order/order.ts';
import { defaultRules } from '../src/order/rules.ts';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase, silent, uniqueName } from '../test/support/database.ts';

const count = Number(process.argv[2] ?? 120_000);
const batchSize = 500;
const inFlight = 4;
const partitions = 8;

const until = async (probe: () => boolean | Promise<boolean>) => {
  while (!(await probe())) await Bun.sleep(5);
};
const seconds = async (work: () => Promise<unknown>) => {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
};
const rate = (orders: number, time: number) => Math.round(orders / time);

const make = createOrderMaker({ seed: 1 });
const orders = Array.from({ length: count }, make);
console.log(
  `${count} orders, ${(orders.reduce((sum, { items }) => sum + items.length, 0) / count).toFixed(1)} items each`,
);

const { KAFKA_BROKERS, DATABASE_URL } = process.env;
if (!KAFKA_BROKERS || !DATABASE_URL)
  throw new Error('Set KAFKA_BROKERS and DATABASE_URL: bun run services up');
await using database = await createDatabase(DATABASE_URL, { connections: 10 });
const { sql, url } = database;
const empty = async () => {
  await sql`truncate orders cascade`;
  await sql`checkpoint`;
};

// (a) COPY from prepared files.

const cell = (value: string | number) =>
  String(value).replace(
    /[\\\n\r\t]/g,
    (c) => ({ '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c] ?? c,
  );
const toRows = (part: readonly Order[]) => {
  const tables: Record<string, { columns: string[]; rows: string[] }> = {};
  const add = (table: string, row: Record<string, string | number>) => {
    tables[table] ??= { columns: Object.keys(row), rows: [] };
    tables[table].rows.push(Object.values(row).map(cell).join('\t'));
  };
  for (const { delivery, payment, items, ...order } of part) {
    const { order_uid } = order;
    add('orders', order);
    add('deliveries', { order_uid, ...delivery });
    add('payments', { order_uid, ...payment });
    for (const item of items) add('items', { order_uid, ...item });
  }
  return tables;
};

const folder = await mkdtemp(join(tmpdir(), 'bench-ingest-'));
const scripts = await Promise.all(
  [orders.slice(0, count / 2), orders.slice(count / 2)].map(async (half, index) => {
    let script = 'begin;\n';
    for (const [table, { columns, rows }] of Object.entries(toRows(half))) {
      const file = join(folder, `${table}-${index}.tsv`);
      await Bun.write(file, `${rows.join('\n')}\n`);
      script += `\\copy ${table} (${columns}) from '${file}'\n`;
    }
    const file = join(folder, `${index}.sql`);
    await Bun.write(file, `${script}commit;\n`);
    return file;
  }),
);
const copy = async (script: string) => {
  const psql = Bun.spawn(['psql', url, '-q', '-v', 'ON_ERROR_STOP=1', '-f', script], { stdout: 'ignore' });
  if ((await psql.exited) !== 0) throw new Error('psql has failed');
};
await empty();
const a = rate(count, await seconds(() => Promise.all(scripts.map(copy))));
console.log(`(a) COPY, two connections    ${a}/s`);
await rm(folder, { recursive: true });

// (b) The store alone.

await empty();
const store = createStore(sql);
const batches = Array.from({ length: Math.ceil(count / batchSize) }, (_, i) =>
  orders.slice(i * batchSize, (i + 1) * batchSize),
);
const b = rate(
  count,
  await seconds(async () => {
    const rest = batches.values();
    const save = async () => {
      for (const one of rest) await store.save(one);
    };
    await Promise.all(Array.from({ length: inFlight }, save));
  }),
);
console.log(`(b) the store alone          ${b}/s   b/a ${(b / a).toFixed(2)}`);

// (c) The whole pipeline.

const topic = uniqueName('bench');
const address = { brokers: KAFKA_BROKERS.split(','), ssl: false, sasl: undefined };
const kafka = createKafka(address, 'bench', silent);
await ensureTopics(kafka, { topic, deadLetterTopic: `${topic}_dlq`, partitions }, silent);
const producer = kafka.producer({ idempotent: true });
await producer.connect();
const send = (to: Producer, part: readonly Order[]) =>
  to.send({
    topic,
    acks: -1,
    compression: CompressionTypes.None,
    messages: part.map((order) => ({ key: order.order_uid, value: JSON.stringify(order) })),
  });
for (const one of batches) await send(producer, one);
await empty();

const groupId = topic;
let arrived = 0;
let firstAt = 0;
const consumer = startConsumerThread({
  settings: {
    name: 'bench',
    kafka: address,
    topic,
    deadLetterTopic: `${topic}_dlq`,
    groupId,
    rules: defaultRules,
    partitions,
    databaseUrl: url,
    databasePool: 10,
    logLevel: 'silent',
  },
  stored({ uids }) {
    firstAt ||= performance.now();
    arrived += uids.length;
  },
  log: silent,
});
const admin = kafka.admin();
await admin.connect();
const committed = async () => {
  const [of] = await admin.fetchOffsets({ groupId, topics: [topic] });
  return of?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0) ?? 0;
};
await until(() => arrived > 0);
const firstBatch = arrived;
await until(() => arrived >= count);
await until(async () => (await committed()) >= count);
const c = rate(count - firstBatch, (performance.now() - firstAt) / 1000);
console.log(`(c) topic to committed       ${c}/s   c/b ${(c / b).toFixed(2)}   c/a ${(c / a).toFixed(2)}`);

await consumer.stop();
await producer.disconnect();
await admin.deleteTopics({ topics: [topic, `${topic}_dlq`] });
await admin.disconnect();
process.exit(0);
