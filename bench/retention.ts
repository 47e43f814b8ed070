/**
 * What erasure and retention cost, as ratios in one run: (a) the ingest rate with the check for erased orders, without marks and with
 * 1,000,000 of them, to the rate without the check; (b) ingest rate and p99 of lookups in PostgreSQL while expired orders are
 * deleted, to those while none are. Windows with and without alternate.
 *
 *   bun --env-file=.services/env bench/retention.ts [seconds of a window]
 *
 * Needs DATABASE_URL, whose user may create a database. Takes about 16 windows and a minute.
 */

import { isNotErased } from '../src/postgres/erased-sql.ts';
import { createExpiry, expiryIndex } from '../src/postgres/expiry.ts';
import { createStore, type Store } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createRetention } from '../src/retention/retention.ts';
import { createDatabase, silent } from '../test/support/database.ts';
import { createCopies } from './copies.ts';
import { median } from './median.ts';

const windowMs = Number(process.argv[2] ?? 10) * 1_000;
const rounds = 4;
const batchSize = 500;
const inFlight = 3;
const lookupsPerSecond = 200;
const marks = 1_000_000;
const expired = 200_000;
const days = 30;

const { DATABASE_URL } = process.env;
if (!DATABASE_URL) throw new Error('Set DATABASE_URL: bun run services up');
await using database = await createDatabase(DATABASE_URL, { connections: 12 });
const { sql } = database;
const store = createStore(sql);

const make = createOrderMaker({ seed: 1 });
const made = Array.from({ length: 10_000 }, make);
let batches = 0;
/** Orders that are new each time. */
const nextBatch = () => {
  const from = (batches * batchSize) % made.length;
  const prefix = (batches++).toString(36);
  return made
    .slice(from, from + batchSize)
    .map((order) => ({ ...order, order_uid: `${prefix}-${order.order_uid}`.slice(0, 50) }));
};

/** Orders stored in a second, for the time of a window. */
const ingest = async ({ save }: Pick<Store, 'save'>) => {
  const begun = performance.now();
  let stored = 0;
  const saveAll = async () => {
    while (performance.now() - begun < windowMs) stored += (await save(nextBatch())).size;
  };
  await Promise.all(Array.from({ length: inFlight }, saveAll));
  return (stored / (performance.now() - begun)) * 1000;
};

// (a) The check for erased orders.

const unchecked = createStore({
  unsafe(statement: string, ...rest: [never[], object]) {
    const without = statement.replace(isNotErased('order_uid'), 'true');
    if (without === statement) throw new Error('the statement has no check');
    return sql.unsafe(without, ...rest);
  },
} as unknown as typeof sql);
const setMarks = async (count: number) => {
  await sql`truncate erased_orders`;
  await sql`insert into erased_orders (digest) select sha256(n::text::bytea) from generate_series(1, ${count}) n`;
  await sql`vacuum analyze erased_orders`;
};
const rates = { unchecked: [] as number[], none: [] as number[], many: [] as number[] };
await ingest(store);
for (let round = 0; round < rounds / 2; round++) {
  await sql`truncate orders cascade`;
  await setMarks(0);
  rates.unchecked.push(await ingest(unchecked));
  rates.none.push(await ingest(store));
  await setMarks(marks);
  rates.many.push(await ingest(store));
}
const base = median(rates.unchecked);
const line = (name: string, found: number[]) =>
  console.log(`${name.padEnd(44)} ${Math.round(median(found))}/s   ${(median(found) / base).toFixed(2)}`);
line('ingest without the check for erased orders', rates.unchecked);
line('with it, nothing is marked', rates.none);
line(`with it, ${marks} orders are marked`, rates.many);

// (b) The deletion of expired orders.

await sql`truncate orders cascade`;
await setMarks(0);
const copy = await createCopies(sql);
await copy({ count: expired, seed: 1, fromDays: 90, toDays: 40 });
await copy({ count: expired, seed: 2, fromDays: 20, toDays: 1 });
await sql.unsafe(`create index ${expiryIndex.name} on ${expiryIndex.table} (${expiryIndex.columns})`);
const fresh = await store.newest(50_000);
const retention = createRetention({ expiry: createExpiry(sql), days, log: silent });

/** The p99 of lookups at a steady rate, in ms, from when each was due. */
const lookUp = async () => {
  const begun = performance.now();
  const times: number[] = [];
  const pending: Promise<unknown>[] = [];
  for (let sent = 0; performance.now() - begun < windowMs; ) {
    const due = Math.floor(((performance.now() - begun) / 1000) * lookupsPerSecond);
    for (; sent < due; sent++) {
      const dueAt = begun + (sent / lookupsPerSecond) * 1000;
      const uid = fresh[Math.floor(Math.random() * fresh.length)] as string;
      pending.push(store.find(uid).then(() => times.push(performance.now() - dueAt)));
    }
    await Bun.sleep(2);
  }
  await Promise.all(pending);
  times.sort((one, other) => one - other);
  return times[Math.floor(times.length * 0.99)] ?? 0;
};

const measure = async () => {
  const [rate, p99] = await Promise.all([ingest(store), lookUp()]);
  return { rate, p99 };
};
type Measured = Awaited<ReturnType<typeof measure>>;
const without: Measured[] = [];
const during: Measured[] = [];
await measure();
for (let round = 0; round < rounds; round++) {
  without.push(await measure());
  const closing = new AbortController();
  const running = retention.run(closing.signal);
  during.push(await measure());
  closing.abort();
  await running;
}
const of = (list: Measured[], name: keyof Measured) => median(list.map((one) => one[name]));
const report = (name: string, list: Measured[]) =>
  console.log(
    `${name.padEnd(44)} ${Math.round(of(list, 'rate'))}/s   p99 of lookups ${of(list, 'p99').toFixed(1)} ms`,
  );
report('ingest while nothing expires', without);
report('while expired orders are deleted', during);
console.log(
  `ratios: ingest ${(of(during, 'rate') / of(without, 'rate')).toFixed(2)}, p99 ${(of(during, 'p99') / of(without, 'p99')).toFixed(2)}; ` +
    `${Math.round(retention.deleted() / ((rounds * windowMs) / 1000))} orders deleted a second`,
);
process.exit(0);
