import type { Sql } from 'postgres';
import { migrationsAbove } from './migrate.ts';

/** The effect of migrating a database down to a version. */
type Undo = {
  database: string;
  /** The migrations to undo, newest first; the data in their tables and columns is deleted. */
  migrations: string[];
  /** How many orders are stored. */
  orders: number;
  /** Whether the orders are deleted. */
  dropsOrders: boolean;
  /** How many marks of erased orders are deleted. */
  marks: number;
  /** The names of the consumers that are connected, as in `pg_stat_activity`. */
  consumers: string[];
};

const marksMigration = '0004_erased_orders';

/** Undefined when there is nothing to undo. Rejects with the driver's error. */
export const planUndo = async (sql: Sql, target: number): Promise<Undo | undefined> => {
  const migrations = await migrationsAbove(sql, target);
  if (migrations.length === 0) return undefined;
  const [found] = await sql<{ database: string; exists: boolean }[]>`
    select current_database() as database, to_regclass('orders') is not null as exists`;
  const [counted] = found?.exists
    ? await sql<{ orders: string }[]>`select count(*) as orders from orders`
    : [];
  // By its migration, and not by the table: with an older one the marks are kept.
  const [marked] = migrations.includes(marksMigration)
    ? await sql<{ marks: string }[]>`select count(*) as marks from erased_orders`
    : [];
  const consumers = await sql<{ name: string }[]>`
    select application_name as name from pg_stat_activity
    where datname = current_database() and application_name ~ ' consumer-[0-9]+$'
    group by 1 order by 1`;
  return {
    database: found?.database ?? '',
    migrations,
    orders: Number(counted?.orders ?? 0),
    // The first migration creates the table of orders.
    dropsOrders: target < 1,
    marks: Number(marked?.marks ?? 0),
    consumers: consumers.map(({ name }) => name),
  };
};

const plural = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** A list of all would be too long for an error of one line. */
const rangeOf = (names: readonly string[]) => [...new Set([names[0], names.at(-1)])].join(' to ');

/** One line for the operator who confirms it. `host` must not hold a password. */
export const describeUndo = ({ database, migrations, orders, dropsOrders, marks }: Undo, host: string) =>
  [
    `database "${database}" on ${host}: undoes ${rangeOf(migrations)}`,
    dropsOrders ? `deletes ${plural(orders, 'order')}` : `keeps its ${plural(orders, 'order')}`,
    marks > 0 &&
      `deletes ${plural(marks, 'mark')} of erased orders for good, so messages that are read again bring them back`,
  ]
    .filter(Boolean)
    .join('; ');
