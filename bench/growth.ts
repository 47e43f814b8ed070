/**
 * What the number of orders in the tables changes: storing, lookups from PostgreSQL with the pages in memory and on disk, start,
 * warm-up and size. Draws the figures.
 *
 *   bun bench/growth.ts [--picture FILE] [orders …]        (100000 1000000)
 *
 * Starts a PostgreSQL of its own in a new folder of the working directory, 1.5 kB an order, and removes it at the end. Needs Debian's
 * postgresql.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { startPostgres } from '../scripts/services/postgres.ts';
import type { Order } from '../src/order/order.ts';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase } from '../test/support/database.ts';
import { startReplica } from '../test/support/replica.ts';
import { until } from '../test/support/until.ts';
import { drawGrowth } from './growth-picture.ts';
import { median } from './median.ts';

const batchSize = 500;
const batchesInFlight = 4;
const storedForMeasure = 20_000;
/** As many connections as the program has; the rest of the lookups wait. */
const connections = 10;
const lookupsInFlight = 32;
const lookups = 5_000;
const starts = 5;

const { values, positionals } = parseArgs({
  options: { picture: { type: 'string' } },
  allowPositionals: true,
});
const sizes = (positionals.length > 0 ? positionals : ['100000', '1000000'])
  .map(Number)
  .sort((a, b) => a - b);
if (!sizes.every((size, index) => size - (sizes[index - 1] ?? 0) >= storedForMeasure))
  throw new Error(`give numbers of orders that are ${storedForMeasure} apart, or more`);

const dir = await mkdtemp(join(process.cwd(), '.growth-'));
const server = await startPostgres({ dir });
const database = await createDatabase(server.url, { connections });
const { sql } = database;
const store = createStore(sql);
const make = createOrderMaker({ seed: 1 });

const seconds = async (work: () => Promise<unknown>) => {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
};

const save = async (batches: Iterator<Order[]> & Iterable<Order[]>) => {
  const saveNext = async () => {
    for (const batch of batches) await store.save(batch);
  };
  await Promise.all(Array.from({ length: batchesInFlight }, saveNext));
};

function* makeBatches(orders: number) {
  for (let made = 0; made < orders; made += batchSize)
    yield Array.from({ length: Math.min(batchSize, orders - made) }, make);
}

/** Lookups of the uids, a second. */
const lookUp = async (uids: readonly string[]) => {
  const limit = pLimit(lookupsInFlight);
  const time = await seconds(() =>
    limit.map(uids, async (uid) => {
      if ((await store.find(uid)) === undefined) throw new Error(`${uid} was not found`);
    }),
  );
  return uids.length / time;
};

/** Stops the server, takes its files out of the page cache, and starts it again. */
const coolDown = async () => {
  await sql`checkpoint`;
  await server.stop();
  const files = Bun.spawn([
    'find',
    join(dir, 'data'),
    '-type',
    'f',
    '-exec',
    'dd',
    'if={}',
    'iflag=nocache',
    'count=0',
    'status=none',
    ';',
  ]);
  if ((await files.exited) !== 0) throw new Error('the files could not be taken out of the page cache');
  await server.start();
  await until(() => sql`select 1`.catch(() => undefined));
};

const randomUids = async (count: number, stored: number) => {
  const ids = new Set<number>();
  while (ids.size < count) ids.add(1 + Math.floor(Math.random() * stored));
  const rows = await sql<
    { order_uid: string }[]
  >`select order_uid from orders where id = any(${[...ids].map(String) as never}::text[]::bigint[])`;
  return rows.map((row) => row.order_uid);
};

/** Times in ms from the start of the program: until the first lookup is answered, and until the cache is warm. */
const startProgram = async (uid: string) => {
  const begun = performance.now();
  // It serves lookups only, so that no Kafka is needed.
  const replica = await startReplica({
    SERVE: 'http',
    KAFKA_BROKERS: '127.0.0.1:1',
    DATABASE_URL: database.url,
  });
  const response = await fetch(`${replica.url}/order/${encodeURIComponent(uid)}`);
  if (response.status !== 200) throw new Error(`the first lookup was answered ${response.status}`);
  const answered = performance.now() - begun;
  await until(() => replica.has('the cache is warm'));
  const warm = performance.now() - begun;
  await replica.stop();
  return { answered, warm };
};

const measure = async (size: number) => {
  const [{ count: before = 0 } = {}] = await sql<
    { count: number }[]
  >`select coalesce(max(id), 0)::int as count from orders`;
  const filling = await seconds(() => save(makeBatches(size - storedForMeasure - before)));
  await sql`vacuum analyze`;
  const batches = [...makeBatches(storedForMeasure)];
  await sql`checkpoint`;
  const storing = await seconds(() => save(batches.values()));
  await sql`vacuum analyze`;

  const uids = await randomUids(lookups, size);
  await coolDown();
  const cold = await lookUp(uids);
  await lookUp(uids);
  const cached = await lookUp(uids);
  const runs: Awaited<ReturnType<typeof startProgram>>[] = [];
  for (let run = 0; run < starts; run++) runs.push(await startProgram(uids[run] as string));
  const [{ bytes = 0 } = {}] = await sql<
    { bytes: string }[]
  >`select pg_database_size(current_database())::text as bytes`;

  const figures = {
    orders: size,
    stored: storedForMeasure / storing,
    cached,
    cold,
    answered: median(runs.map((run) => run.answered)),
    warm: median(runs.map((run) => run.warm)),
    bytes: Number(bytes),
  };
  console.log(
    `${size} orders, ${(figures.bytes / 1e9).toFixed(2)} GB (${Math.round(figures.bytes / size)} bytes an order), ` +
      `filled in ${Math.round(filling)} s: stores ${Math.round(figures.stored)}/s; ` +
      `looks up ${Math.round(cached)}/s with the pages in memory, ${Math.round(cold)}/s from disk; ` +
      `has answered after ${Math.round(figures.answered)} ms, is warm after ${Math.round(figures.warm)} ms`,
  );
  return figures;
};

// The measurement fails then, and ends.
process.once('SIGINT', () => void server.stop());

try {
  const all: Awaited<ReturnType<typeof measure>>[] = [];
  for (const size of sizes) all.push(await measure(size));
  if (values.picture) await Bun.write(values.picture, drawGrowth(all));
} finally {
  await sql.end({ timeout: 1 });
  await server.stop();
  await rm(dir, { recursive: true });
}
process.exit(0);
