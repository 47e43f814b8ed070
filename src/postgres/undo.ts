import type { Sql } from 'postgres';
import { migrationsAbove } from './migrate.ts';

/** What going down to a version would do to a database. */
export type Undo = {
  database: string;
  /** Migrations that are undone, the newest first; what their tables and columns hold goes with them. */
  migrations: string[];
  /** Orders that are stored now, and whether they go. */
  orders: number;
  dropsOrders: boolean;
  /** Consumers that are connected now, as PostgreSQL shows them. */
  consumers: string[];
};

/** Undefined when there is nothing to undo. Rejects with the driver's error. */
export const planUndo = async (sql: Sql, target: number): Promise<Undo | undefined> => {
  const migrations = await migrationsAbove(sql, target);
  if (migrations.length === 0) return undefined;
  const [found] = await sql<{ database: string; there: boolean }[]>`
    select current_database() as database, to_regclass('orders') is not null as there`;
  const [counted] = found?.there
    ? await sql<{ orders: string }[]>`select count(*) as orders from orders`
    : [];
  const consumers = await sql<{ name: string }[]>`
    select application_name as name from pg_stat_activity
    where datname = current_database() and application_name ~ ' consumer-[0-9]+$'
    group by 1 order by 1`;
  return {
    database: found?.database ?? '',
    migrations,
    orders: Number(counted?.orders ?? 0),
    // The first migration makes the table of orders.
    dropsOrders: target < 1,
    consumers: consumers.map(({ name }) => name),
  };
};

const plural = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** In one line, for whoever decides. `host` holds no password. */
export const describeUndo = ({ database, migrations, orders, dropsOrders }: Undo, host: string) =>
  `database "${database}" on ${host}: undoes ${migrations.join(', ')}; ` +
  (dropsOrders ? `deletes ${plural(orders, 'order')}` : `keeps its ${plural(orders, 'order')}`);
