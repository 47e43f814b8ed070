/**
 * The console's search: (a) what each index costs the store, as a ratio to the store without it in the same run, (b) the time of each
 * search, (c) lookups of cached orders at 1,000/s, alone and while an export of all orders and searches run.
 *
 *   bun --env-file=.services/env bench/console.ts [orders]
 *
 * Needs DATABASE_URL, whose user may create a database, and curl.
 */
import type { Order } from '../src/order/order.ts';
import { keepIndexes } from '../src/postgres/indexes.ts';
import { createOrderSearch, searchFieldNames, searchFields } from '../src/postgres/search.ts';
import { searchIndexes } from '../src/postgres/search-indexes.ts';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase, silent } from '../test/support/database.ts';
import { startProgram } from '../test/support/program.ts';
import { until } from '../test/support/until.ts';

const count = Number(process.argv[2] ?? 1_000_000);
const batchSize = 500;
const measured = Math.min(20_000, count);
const { DATABASE_URL } = process.env;
if (!DATABASE_URL) throw new Error('Set DATABASE_URL: bun run services up');

await using database = await createDatabase(DATABASE_URL);
const { sql, url } = database;
const store = createStore(sql);
const make = createOrderMaker({ seed: 1 });

const quantile = (values: number[], share: number) =>
  values.toSorted((one, other) => one - other)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
const ms = (value: number) => `${value.toFixed(2)} ms`;

/** Orders a second of so many new ones. */
const save = async (total: number) => {
  let spentMs = 0;
  for (let saved = 0; saved < total; saved += batchSize) {
    const batch = Array.from({ length: batchSize }, make);
    const begun = performance.now();
    await store.save(batch);
    spentMs += performance.now() - begun;
  }
  return (total / spentMs) * 1_000;
};

console.log(`${count} orders: ${Math.round(await save(count))}/s`);
await sql`vacuum analyze`;

// (a) Each index alone, and then all of them.

const indexAll = () =>
  keepIndexes(sql, searchIndexes(searchFieldNames), silent, new AbortController().signal);
const bare = await save(measured);
console.log(`the store without an index: ${Math.round(bare)}/s`);
for (const field of searchFieldNames) {
  const { table, columns } = searchFields[field];
  await sql.unsafe(`create index bench_index on ${table} (${columns})`);
  const [size] = await sql`select pg_size_pretty(pg_relation_size('bench_index')) as text`;
  const rate = await save(measured);
  console.log(`with ${field}: ${Math.round(rate)}/s, ${(rate / bare).toFixed(2)} of it; ${size?.text}`);
  await sql`drop index bench_index`;
}
await indexAll();
const all = await save(measured);
console.log(`with all: ${Math.round(all)}/s, ${(all / bare).toFixed(2)} of it`);

// (b)

await sql`vacuum analyze`;
const search = createOrderSearch(sql);
const known: Order[] = [];
for (const { order_uid } of (await search.newest({ limit: 200 })).orders)
  known.push(JSON.parse((await store.find(order_uid)) ?? '') as Order);
const limit = 50;
const searches: Record<string, (order: Order) => Promise<unknown>> = {
  newest: () => search.newest({ limit }),
  number: ({ order_uid }) => search.byNumber(order_uid, { limit }),
  beginning: ({ order_uid }) => search.byPrefix(order_uid.slice(0, 4), { limit }),
  short: ({ order_uid }) => search.byShortForm(order_uid.slice(0, 4), order_uid.slice(-5), { limit }),
  track: ({ track_number }) => search.byField.track(track_number, { limit }),
  customer: ({ customer_id }) => search.byField.customer(customer_id, { limit }),
  phone: ({ delivery }) => search.byField.phone(delivery.phone, { limit }),
  email: ({ delivery }) => search.byField.email(delivery.email, { limit }),
  transaction: ({ payment }) => search.byField.transaction(payment.transaction, { limit }),
  rid: ({ items }) => search.byField.rid(items[0]?.rid ?? '', { limit }),
  nm_id: ({ items }) => search.byField.nm_id(String(items[0]?.nm_id), { limit }),
};
for (const [name, run] of Object.entries(searches)) {
  const times: number[] = [];
  for (const order of known) {
    const begun = performance.now();
    await run(order);
    times.push(performance.now() - begun);
  }
  console.log(`search by ${name}: median ${ms(quantile(times, 0.5))}, p99 ${ms(quantile(times, 0.99))}`);
}

// (c)

const token = 'a-token-of-the-bench';
const headers = { authorization: `Bearer ${token}` };
await using program = startProgram({
  SERVE: 'http',
  KAFKA_BROKERS: '127.0.0.1:1',
  DATABASE_URL: url,
  RATE_LIMIT: '0',
  CONSOLE_TOKENS: `bench:${token}`,
  CONSOLE_SEARCH: searchFieldNames.join(','),
});
const origin = await program.url();
await until(async () => (await (await fetch(`${origin}/readyz`)).json()).status === 'ready', 60_000);
const perSecond = 1_000;
const seconds = 20;

/** Each lookup counts from when it is due, so that a server that stops for a while is seen. */
const lookUp = async () => {
  const times: number[] = [];
  const begun = performance.now();
  const pending: Promise<void>[] = [];
  for (let n = 0; n < perSecond * seconds; n++) {
    const due = begun + (n * 1_000) / perSecond;
    if (performance.now() < due) await Bun.sleep(due - performance.now());
    const { order_uid = '' } = known[n % known.length] ?? {};
    // A timer may be early.
    const from = Math.min(due, performance.now());
    const ask = async () => {
      await (await fetch(`${origin}/order/${order_uid}`)).arrayBuffer();
      times.push(performance.now() - from);
    };
    pending.push(ask());
  }
  await Promise.all(pending);
  return `median ${ms(quantile(times, 0.5))}, p99 ${ms(quantile(times, 0.99))}`;
};
await lookUp();
console.log(`lookups at ${perSecond}/s alone: ${await lookUp()}`);

const written = '\n%{size_download}';
const exporting = Bun.spawn(
  [
    'curl',
    '-sS',
    '-m',
    String(seconds),
    '-o',
    '/dev/null',
    '-w',
    written,
    '-H',
    `Authorization: Bearer ${token}`,
    `${origin}/console/api/orders/export?format=csv`,
  ],
  { stdout: 'pipe', stderr: 'ignore' },
);
let isOver = false;
const searching = (async () => {
  for (let n = 0; !isOver; n++) {
    const { delivery } = known[n % known.length] ?? {};
    const q = encodeURIComponent(delivery?.phone ?? '');
    await (await fetch(`${origin}/console/api/orders?q=${q}`, { headers })).arrayBuffer();
  }
  return true;
})();
console.log(`lookups while an export and searches run: ${await lookUp()}`);
isOver = true;
await searching;
const bytes = Number((await new Response(exporting.stdout).text()).trim());
console.log(`exported meanwhile: ${(bytes / 1e6).toFixed(0)} MB of CSV`);
