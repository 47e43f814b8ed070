import type { Sql } from 'postgres';
import type { Index } from './indexes.ts';

/** Of the time that orders were created at. Only where orders expire, as it costs ingest. */
export const expiryIndex: Index = {
  name: 'orders_date_created',
  table: 'orders',
  columns: 'date_created',
};

/** For how long a process that deletes expired orders keeps others from it after its last batch, in s. */
export const leaseSeconds = 30;

/** Times are in ms since 1970. `oldest` is undefined if there are no orders. */
type Ages = { clock: number; oldest: number | undefined };

/** `from`: the `date_created` of the last batch, where the next one begins; undefined for the first. */
export type Batch = {
  holder: string;
  from: string | undefined;
  expiry: number;
  limit: number;
  /** Whether other processes are to look now which of their orders are gone; after the last batch they do in any case. */
  isAnnounced: boolean;
};

const toInstant = (ms: number) => new Date(ms).toISOString();

const clock = '(extract(epoch from clock_timestamp()) * 1000)::float8';

/** The end of the name of the connection that deletes expired orders. */
export const expiryConnection = 'retention';

/** Without the index each batch would read the whole table. */
const isIndexed = `exists (
  select from pg_index
  where indexrelid = to_regclass('${expiryIndex.name}') and indrelid = 'orders'::regclass and indisvalid
)`;

/** Every query that deletes expired orders. All functions reject with the driver's error. */
export const createExpiry = (sql: Sql) => ({
  /** The clock of PostgreSQL, and when the oldest order was created. Undefined while there is no index that says so. */
  async readAges(): Promise<Ages | undefined> {
    const [index] = await sql.unsafe<{ isThere: boolean }[]>(`select ${isIndexed} as "isThere"`);
    if (!index?.isThere) return undefined;
    const [row] = await sql.unsafe<{ clock: number; oldest: number | null }[]>(
      `select ${clock} as clock, (select extract(epoch from min(date_created)) * 1000 from orders)::float8 as oldest`,
      [],
      { prepare: true },
    );
    return row && { clock: row.clock, oldest: row.oldest ?? undefined };
  },

  /** Whether a process that deletes expired orders is connected to this database. */
  async isUsed(): Promise<boolean> {
    const rows = await sql`
      select from pg_stat_activity
      where datname = current_database() and application_name like ${`% ${expiryConnection}`} limit 1`;
    return rows.length > 0;
  },

  /** How many orders have expired, counted up to `limit`. */
  async count(expiry: number, limit: number): Promise<number> {
    const [row] = await sql.unsafe<{ count: string }[]>(
      `select count(*) as count from (
        select from orders where date_created < $1::text::timestamptz limit $2::int
      ) expired`,
      [toInstant(expiry), limit],
      { prepare: true },
    );
    return Number(row?.count);
  },

  /**
   * Deletes up to `limit` expired orders, the oldest first, and extends the lease, in one statement. Orders that an erasure holds are left
   * to it. Undefined, and nothing is deleted, while another process has the lease, or without the index.
   */
  async deleteBatch({ holder, from, expiry, limit, isAnnounced }: Batch) {
    const [row] = await sql.unsafe<{ isHeld: boolean; deleted: number; last: string | null }[]>(
      `with lease as materialized (
        select from order_retention
        -- A lease that lasts for longer is of a clock that was set back since.
        where ${isIndexed} and (holder = $1 or held_until not between clock_timestamp() and clock_timestamp() + '${leaseSeconds} s'::interval)
        for update
      ), expired as materialized (
        select order_uid, date_created from orders
        where exists (select from lease) and date_created >= $2::text::timestamptz and date_created < $3::text::timestamptz
        order by date_created limit $4::int
        for update skip locked
      ), deleted as (
        delete from orders where order_uid = any(array(select order_uid from expired))
      ), extended as (
        update order_retention
        set holder = $1, held_until = clock_timestamp() + '${leaseSeconds} s'::interval,
          number = number + case when $5::text = 'true' or (select count(*) from expired) < $4::int then 1 else 0 end
        where exists (select from lease)
        returning number
      )
      select exists (select from extended) as "isHeld", count(*)::int as deleted, max(date_created)::text as last from expired`,
      [holder, from ?? '-infinity', toInstant(expiry), limit, String(isAnnounced)],
      { prepare: true },
    );
    return row?.isHeld ? { deleted: row.deleted, last: row.last ?? from } : undefined;
  },

  /** Gives the lease back, so that another process need not wait for its end. */
  async release(holder: string): Promise<void> {
    await sql`update order_retention set held_until = '-infinity' where holder = ${holder}`;
  },
});

export type Expiry = ReturnType<typeof createExpiry>;
