/**
 * Duration of a cache warm-up with the newest 1000 orders, 50 loads at a time, with 10,000 and 1,000,000 orders in the table; and
 * the time until the whole program answers its first request, which must not wait for the warm-up.
 *
 *   bun --env-file=.services/env bench/warm-up.ts [orders]
 *
 * Needs KAFKA_BROKERS, and DATABASE_URL, whose user may create a database.
 */
import { createMemoryCache } from '../src/lookup/memory-cache.ts';
import { createWarmUp } from '../src/lookup/warm-up.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase, silent } from '../test/support/database.ts';
import { startReplica } from '../test/support/replica.ts';
import { until } from '../test/support/until.ts';
import { median } from './median.ts';

const most = Number(process.argv[2] ?? 1_000_000);
const few = Math.min(10_000, most);
const batchSize = 1_000;
const rounds = 7;
const limit = 1_000;
const concurrency = 50;

const { DATABASE_URL, KAFKA_BROKERS } = process.env;
if (!DATABASE_URL || !KAFKA_BROKERS)
  throw new Error('Set DATABASE_URL and KAFKA_BROKERS: bun run services up');
await using database = await createDatabase(DATABASE_URL, { connections: 4 });
const store = createStore(database.sql);
const make = createOrderMaker({ seed: 1 });
let stored = 0;
const fill = async (count: number) => {
  const save = async () => {
    while (stored < count) {
      stored += batchSize;
      await store.save(Array.from({ length: batchSize }, make));
    }
  };
  await Promise.all([save(), save(), save(), save()]);
  await database.sql`vacuum analyze`;
};

/** With new connections, as at a start. */
const warm = async () => {
  const sql = openDatabase({ url: database.url, connections: 10, name: 'bench' });
  const memory = createMemoryCache(limit);
  const warmUp = createWarmUp({ store: createStore(sql), caches: [memory], limit, concurrency, log: silent });
  const begun = performance.now();
  await warmUp(new AbortController().signal);
  const took = performance.now() - begun;
  if (memory.size() !== limit) throw new Error(`only ${memory.size()} were inserted`);
  await sql.end();
  return took;
};

/** Times from the start of the program, in ms: until the first lookup is answered, and until the cache is warm. */
const startProgram = async () => {
  const begun = performance.now();
  const replica = await startReplica({ SERVE: 'http', KAFKA_BROKERS, DATABASE_URL: database.url });
  const listens = performance.now() - begun;
  const response = await fetch(`${replica.url}/order/${encodeURIComponent(first)}`);
  if (response.status !== 200) throw new Error(`the first lookup was answered ${response.status}`);
  const answered = performance.now() - begun;
  await until(() => replica.has('the cache is warm'));
  const warmed = performance.now() - begun;
  await replica.stop();
  return { listens, answered, warmed };
};

/** A stored order that the warm-up does not load. */
let first = '';
for (const count of [few, most]) {
  await fill(count);
  first = (await store.newest(2 * limit)).at(-1) as string;
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await warm());
  console.log(
    `${limit} orders of ${count}: ${Math.round(median(took))} ms (median of ${rounds}, ${took.map(Math.round).join(', ')})`,
  );
  const starts: Awaited<ReturnType<typeof startProgram>>[] = [];
  for (let round = 0; round < rounds; round++) starts.push(await startProgram());
  const medianOf = (what: keyof (typeof starts)[number]) =>
    Math.round(median(starts.map((one) => one[what])));
  console.log(
    `the program with ${count}: listens after ${medianOf('listens')} ms, has answered its first lookup after ${medianOf('answered')} ms, is warm after ${medianOf('warmed')} ms`,
  );
}
process.exit(0);
