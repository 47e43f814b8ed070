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
  erase: (uids: readonly OrderUid[]): Promise<number> =>
    sql.begin(readCommitted, async (tx) => {
      await tx.unsafe(`set local lock_timeout = '${lockTimeout}'`);
      // A batch updates this table. So all that began before are visible from here on, and the next ones see the marks: without the
      // lock, one that began before the marks are committed would store an order again. It also puts the numbers in order.
      await tx`lock table consumed_offsets in share row exclusive mode`;
      // Where the database's default is `repeatable read`, a batch that waits for the lock has chosen what it sees before, without the
      // marks. As its row has changed since, PostgreSQL refuses it (`40001`), and it is tried again.
      await tx`update consumed_offsets set claim = claim`;
      const [row] = await tx.unsafe<{ count: number }[]>(
        `with marked as (
          insert into erased_orders (digest)
          select ${digestOf('order_uid')} from (select distinct unnest($1::text[]) as order_uid) sent
          on conflict (digest) do update set number = default
        ), deleted as (
          delete from orders where order_uid = any($1::text[]) returning order_uid
        )
        select count(*)::int as count from deleted`,
        [uids as never],
      );
      return row?.count ?? 0;
    }) as Promise<number>,
});

export type Erasures = ReturnType<typeof createErasures>;
