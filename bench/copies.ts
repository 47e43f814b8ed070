import type { Sql } from 'postgres';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';

const tables = ['orders', 'deliveries', 'payments', 'items'] as const;
const seedOrders = 10_000;

type Many = { count: number; seed: number; fromDays: number; toDays: number };

/**
 * Fills the tables by copies of 10,000 fake orders with other numbers, which is several times as quick as storing as many. Their
 * `date_created` runs from `fromDays` to `toDays` ago.
 */
export const createCopies = async (sql: Sql) => {
  const store = createStore(sql);
  const orders = Array.from({ length: seedOrders }, createOrderMaker({ seed: 7 }));
  for (let at = 0; at < seedOrders; at += 500) await store.save(orders.slice(at, at + 500));
  for (const table of tables) await sql.unsafe(`create unlogged table bench_${table} as table ${table}`);
  await sql`truncate orders cascade`;
  const columnsOf = async (table: string) => {
    const rows = await sql<{ name: string }[]>`
      select column_name as name from information_schema.columns
      where table_name = ${table} and column_name not in ('id', 'order_uid', 'date_created') order by ordinal_position`;
    return rows.map(({ name }) => name).join(', ');
  };
  const columns = await Promise.all(tables.map(columnsOf));
  return async ({ count, seed, fromDays, toDays }: Many) => {
    const rounds = Math.ceil(count / seedOrders);
    for (let round = 0; round < rounds; round++) {
      const age = fromDays + ((toDays - fromDays) * round) / rounds;
      await sql.begin(async (tx) => {
        for (const [index, table] of tables.entries()) {
          const more = table === 'orders' ? 'date_created, ' : '';
          const values = table === 'orders' ? `now() - interval '1 second' * ${age * 86_400}, ` : '';
          await tx.unsafe(`
            insert into ${table} (order_uid, ${more}${columns[index]})
            select left(md5(order_uid || '${seed}-${round}'), 20), ${values}${columns[index]} from bench_${table}`);
        }
      });
    }
    await sql`analyze orders, deliveries, payments, items`;
  };
};
