import type { Sql } from 'postgres';
import type { OrderUid } from '../order/order.ts';
import { emailIs } from './email-case.ts';
import { digestOf } from './erased-sql.ts';
import { readCommitted } from './isolation.ts';

/** What the orders of a person have in common. Letters of an email address match in either case. */
export type Trait = 'phone' | 'email' | 'customer';

const conditions = {
  phone: (value) => ({
    condition: 'order_uid in (select order_uid from deliveries where phone = $1)',
    parameters: [value],
  }),
  email(value) {
    const { condition, parameters } = emailIs(value);
    return { condition: `order_uid in (select order_uid from deliveries where ${condition})`, parameters };
  },
  customer: (value) => ({ condition: 'customer_id = $1', parameters: [value] }),
} satisfies Record<Trait, (value: string) => { condition: string; parameters: string[] }>;

/** How long an erasure waits for batches that are being stored, and for long vacuums; new batches wait as long. */
const lockTimeout = '10s';

/** The order_uids as SQL. In hexadecimal digits, so that none can be read as SQL, whatever the server's rules for quotes are. */
const toLiterals = (uids: readonly OrderUid[]) =>
  uids.map((uid) => `convert_from(decode('${Buffer.from(uid).toString('hex')}', 'hex'), 'UTF8')`);

/**
 * The statements that erase orders. Without `begin` and `commit`, as they are sent in one message, which PostgreSQL runs as one
 * transaction: a process that is frozen, or cut off, between two messages would hold the locks for as long, and nothing could be stored.
 */
const eraseStatements = (uids: readonly OrderUid[]) =>
  [
    `set transaction ${readCommitted}`,
    `set local lock_timeout = '${lockTimeout}'`,
    // A batch updates this table. So all that began before are visible from here on, and the next ones see the marks: without the
    // lock, one that began before the marks are committed would store an order again. It also puts the numbers in order.
    'lock table consumed_offsets in share row exclusive mode',
    // Where the database's default is `repeatable read`, a batch that waits for the lock has chosen what it sees before, without the
    // marks. As its row has changed since, PostgreSQL refuses it (`40001`), and it is tried again.
    'update consumed_offsets set claim = claim',
    `with sent as materialized (
      select distinct unnest(array[${toLiterals(uids)}]::text[]) as order_uid
    ), marked as (
      insert into erased_orders (digest)
      select ${digestOf('order_uid')} from sent
      on conflict (digest) do update set number = default
    ), deleted as (
      delete from orders where order_uid = any(array(select order_uid from sent)) returning order_uid
    )
    select count(*)::int as count from deleted`,
  ].join(';\n');

/** Every query that erases orders. All functions reject with the driver's error. */
export const createErasures = (sql: Sql) => ({
  /** The order_uids of the stored orders with this trait, the oldest first; all of them without a limit. Scans the table. */
  async findBy(trait: Trait, value: string, limit?: number): Promise<OrderUid[]> {
    const { condition, parameters } = conditions[trait](value);
    const rows = await sql.unsafe<{ order_uid: OrderUid }[]>(
      `select order_uid from orders where ${condition} order by id limit $${parameters.length + 1}`,
      [...parameters, limit ?? null],
    );
    return rows.map((row) => row.order_uid);
  },

  /** Those of the order_uids whose orders are stored. */
  async findStored(uids: readonly OrderUid[]): Promise<OrderUid[]> {
    const rows = await sql<{ order_uid: OrderUid }[]>`
      select order_uid from orders where order_uid = any(${uids as never}::text[]) order by id`;
    return rows.map((row) => row.order_uid);
  },

  /**
   * Deletes the orders and marks their order_uids, in one transaction; those that are not stored are marked, too. Returns how many
   * were stored.
   */
  async erase(uids: readonly OrderUid[]): Promise<number> {
    const results = await sql.unsafe<{ count: number }[][]>(eraseStatements(uids));
    return results.at(-1)?.[0]?.count ?? 0;
  },
});

export type Erasures = ReturnType<typeof createErasures>;
