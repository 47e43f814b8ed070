/**
 * How long it takes to fill the cache with the newest 1000 orders, 50 loads at a time, with 10,000 and with 1,000,000 orders in
 * the table; and, of the whole program, how soon it answers its first request, which must not wait for that.
 *
 *   bun --env-file=.services/env bench/warm-up.ts [orders]
 *
 * Needs DATABASE_URL, whose user may create a database.
 */
import { createMemoryCache } from '../src/cache/memory.ts';
import { createWarmUp } from '../src/cache/warm-up.ts';
import { openDatabase } from '../src/database.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createStore } from '../src/store.ts';
import { createDatabase, silent } from '../test/database.ts';

const most = Number(process.argv[2] ?? 1_000_000);
const few = Math.min(10_000, most);
const chunk = 1_000;
const rounds = 7;
const limit = 1_000;
const concurrency = 50;

const { DATABASE_URL } = process.env;
if (!DATABASE_URL) throw new Error('Set DATABASE_URL: bun run services up');
await using database = await createDatabase(DATABASE_URL, { connections: 4 });
const store = createStore(database.sql);
const make = createOrderMaker({ seed: 1 });
let stored = 0;
const fill = async (count: number) => {
  const save = async () => {
    while (stored < count) {
      stored += chunk;
      await store.save(Array.from({ length: chunk }, make));
    }
  };
  await Promise.all([save(), save(), save(), save()]);
  await database.sql`vacuum analyze`;
};

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** As at a start: with connections that are new. */
const warm = async () => {
  const sql = openDatabase({ url: database.url, connections: 10, name: 'bench' });
  const memory = createMemoryCache(limit);
  const warmUp = createWarmUp({ store: createStore(sql), caches: [memory], limit, concurrency, log: silent });
  const begun = performance.now();
  await warmUp(new AbortController().signal);
  const took = performance.now() - begun;
  if (memory.size() !== limit) throw new Error(`only ${memory.size()} entered`);
  await sql.end();
  return took;
};

for (const count of [few, most]) {
  await fill(count);
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await warm());
  console.log(
    `${limit} orders of ${count}: ${Math.round(median(took))} ms (median of ${rounds}, ${took.map(Math.round).join(', ')})`,
  );
}
process.exit(0);
