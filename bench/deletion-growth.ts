/**
 * What the deletion of many expired orders leaves in PostgreSQL: the size of tables and indexes before, after the deletion, after
 * autovacuum, and after as many orders have been stored again; and how quickly they are deleted without rests.
 *
 *   bun --env-file=.services/env bench/deletion-growth.ts [orders to delete]
 *
 * Needs DATABASE_URL, whose user may create a database and run VACUUM. 1,000,000 orders take about 3 GB of disk. Autovacuum is
 * waited for, for up to five minutes; then VACUUM is run.
 */
import { createExpiry, expiryIndex } from '../src/postgres/expiry.ts';
import { createDatabase } from '../test/support/database.ts';
import { createCopies } from './copies.ts';

const count = Number(process.argv[2] ?? 1_000_000);
const kept = count / 4;
const autovacuumMs = 300_000;
const day = 86_400_000;

const { DATABASE_URL } = process.env;
if (!DATABASE_URL) throw new Error('Set DATABASE_URL: bun run services up');
await using database = await createDatabase(DATABASE_URL, { connections: 4 });
const { sql } = database;
const begun = performance.now();

const megabytes = (bytes: string) => (Number(bytes) / 2 ** 20).toFixed(0).padStart(6);
const report = async (name: string) => {
  const rows = await sql<{ name: string; heap: string; indexes: string }[]>`
    select relname as name, pg_table_size(oid) as heap, pg_indexes_size(oid) as indexes from pg_class
    where relname in ('orders', 'deliveries', 'payments', 'items') order by relname`;
  const [dates] = await sql<
    { size: string }[]
  >`select pg_relation_size(${expiryIndex.name}::regclass) as size`;
  const sum = (field: 'heap' | 'indexes') =>
    String(rows.reduce((total, row) => total + Number(row[field]), 0));
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(
    `${name.padEnd(28)} tables ${megabytes(sum('heap'))} MB   indexes ${megabytes(sum('indexes'))} MB   ${expiryIndex.name} ${megabytes(dates?.size ?? '0')} MB   after ${seconds} s`,
  );
};

await sql.unsafe(`create index ${expiryIndex.name} on ${expiryIndex.table} (${expiryIndex.columns})`);
const copy = await createCopies(sql);
await copy({ count, seed: 1, fromDays: 90, toDays: 40 });
await copy({ count: kept, seed: 2, fromDays: 20, toDays: 1 });
await report(`${count + kept} orders`);

const expiry = createExpiry(sql);
const holder = crypto.randomUUID();
let deleted = 0;
const deletedFrom = performance.now();
for (let from: string | undefined; ; ) {
  const batch = await expiry.deleteBatch({
    holder,
    from,
    expiry: Date.now() - 30 * day,
    limit: 1_000,
    isAnnounced: false,
  });
  deleted += batch?.deleted ?? 0;
  from = batch?.last;
  if (batch?.deleted !== 1_000) break;
}
const deletedSeconds = (performance.now() - deletedFrom) / 1000;
console.log(`${deleted} deleted, without rests ${Math.round(deleted / deletedSeconds)}/s`);
await report('after the deletion');

const vacuumed = async () => {
  const rows = await sql`
    select from pg_stat_user_tables
    where relname in ('orders', 'deliveries', 'payments', 'items') and last_autovacuum > now() - interval '1 hour' and n_dead_tup < ${count / 10}`;
  return rows.length === 4;
};
const waitedFrom = performance.now();
while (!(await vacuumed()) && performance.now() - waitedFrom < autovacuumMs) await Bun.sleep(1_000);
if (await vacuumed())
  console.log(`autovacuum was done after ${Math.round((performance.now() - waitedFrom) / 1000)} s`);
else {
  console.log('autovacuum was not done in time: VACUUM');
  await sql`vacuum orders, deliveries, payments, items`;
}
await report('after it');

await copy({ count, seed: 3, fromDays: 1, toDays: 0 });
await report(`${count} stored again`);
process.exit(0);
