import type { Sql } from 'postgres';
import type { Order, OrderUid } from '../order/order.ts';
import { isNotErased } from './erased-sql.ts';
import { otherCasesParameters, otherCasesStatement } from './letter-case.ts';
import { type FencedRange, rangeParameters } from './offsets.ts';
import { document, saveFencedStatement, saveStatement, toColumns } from './order-sql.ts';

/** `isMoved`: the stored offset is at the end of the range now. */
type Saved = { inserted: Set<OrderUid>; isMoved: boolean };

const latestErasure =
  '(select coalesce(max(number), 0) from erased_orders) + (select coalesce(max(number), 0) from order_retention)';

/** An order as JSON text, and the number of the last erasure that the server had when it was read. */
export type DatedDocument = { document: string; latestErasure: bigint };

type DatedRow = { document: string; latest: string };
const toDated = ({ document, latest }: DatedRow): DatedDocument => ({
  document,
  latestErasure: BigInt(latest),
});

/** The queries of ingest and lookups. All functions reject with the driver's error. */
export const createStore = (sql: Sql) => ({
  /**
   * Inserts the orders that are neither stored nor erased, all or none, in one round trip. Returns the order_uids that it inserted.
   * The order_uids must differ. For orders that do not come from a topic.
   */
  async save(orders: readonly Order[]): Promise<Set<OrderUid>> {
    const rows = await sql.unsafe<{ order_uid: OrderUid }[]>(saveStatement, toColumns(orders) as never[], {
      prepare: true,
    });
    return new Set(rows.map((row) => row.order_uid));
  },

  /**
   * As `save`, for orders from an offset range. Undefined, and nothing is inserted, unless the range begins at the stored offset
   * and its claim holds. `isWhole`: nothing else is in the range; if all the orders are new, the stored offset moves to its end.
   */
  async saveBatch(
    orders: readonly Order[],
    range: FencedRange,
    isWhole: boolean,
  ): Promise<Saved | undefined> {
    const rows = await sql.unsafe<{ order_uid: OrderUid | null; next_offset: string }[]>(
      saveFencedStatement,
      [...toColumns(orders), ...rangeParameters(range), isWhole ? orders.length : -1] as never[],
      { prepare: true },
    );
    if (!rows[0]) return undefined;
    const isMoved = BigInt(rows[0].next_offset) === range.to;
    const uids = isMoved
      ? orders.map((order) => order.order_uid)
      : rows.flatMap((row) => row.order_uid ?? []);
    return { inserted: new Set(uids), isMoved };
  },

  /** The order as JSON text, or undefined. */
  async find(uid: OrderUid): Promise<string | undefined> {
    const [row] = await sql.unsafe<{ document: string }[]>(
      `select ${document} from orders o where o.order_uid = $1`,
      [uid],
      { prepare: true },
    );
    return row?.document;
  },

  /** The orders that are stored, as JSON text by order_uid. */
  async findAll(uids: readonly OrderUid[]): Promise<Map<OrderUid, string>> {
    const rows = await sql.unsafe<{ order_uid: OrderUid; document: string }[]>(
      `select o.order_uid, ${document} from orders o where o.order_uid = any($1::text[])`,
      [uids as never],
      { prepare: true },
    );
    return new Map(rows.map((row) => [row.order_uid, row.document]));
  },

  /** As `find`, on a server that may be behind. */
  async findDated(uid: OrderUid): Promise<DatedDocument | undefined> {
    const [row] = await sql.unsafe<DatedRow[]>(
      `select ${document}, (${latestErasure})::text as latest from orders o where o.order_uid = $1`,
      [uid],
      { prepare: true },
    );
    return row && toDated(row);
  },

  /** As `findAll`, on a server that may be behind. */
  async findAllDated(uids: readonly OrderUid[]): Promise<Map<OrderUid, DatedDocument>> {
    const rows = await sql.unsafe<(DatedRow & { order_uid: OrderUid })[]>(
      `select o.order_uid, ${document}, (${latestErasure})::text as latest
        from orders o where o.order_uid = any($1::text[])`,
      [uids as never],
      { prepare: true },
    );
    return new Map(rows.map((row) => [row.order_uid, toDated(row)]));
  },

  /**
   * For each of the uids the orders' whose letters are the same in lower or upper case, itself included: two at most, and none where
   * very many orders begin so.
   */
  async findOtherCases(uids: readonly OrderUid[]): Promise<OrderUid[][]> {
    const rows = await sql.unsafe<{ place: number; order_uid: OrderUid }[]>(
      otherCasesStatement,
      otherCasesParameters(uids) as never[],
      { prepare: true },
    );
    const found: OrderUid[][] = uids.map(() => []);
    for (const { place, order_uid } of rows) found[place - 1]?.push(order_uid);
    return found;
  },

  /** The number of the last erasure. It grows with each, and as expired orders are deleted; 0 before the first. */
  async latestErasure(): Promise<bigint> {
    const [row] = await sql.unsafe<{ latest: string }[]>(`select (${latestErasure})::text as latest`, [], {
      prepare: true,
    });
    return BigInt(row?.latest ?? 0);
  },

  /** Those of the order_uids that no order has. */
  async findMissing(uids: readonly OrderUid[]): Promise<OrderUid[]> {
    const rows = await sql.unsafe<{ uid: OrderUid }[]>(
      `select uid from unnest($1::text[]) as uid
        where not exists (select from orders where order_uid = uid)`,
      [uids as never],
      { prepare: true },
    );
    return rows.map((row) => row.uid);
  },

  /** Those of the order_uids whose orders were erased. */
  async findErased(uids: readonly OrderUid[]): Promise<Set<OrderUid>> {
    const rows = await sql.unsafe<{ order_uid: OrderUid }[]>(
      `select order_uid from unnest($1::text[]) as sent (order_uid)
        where not ${isNotErased('order_uid')}`,
      [uids as never],
      { prepare: true },
    );
    return new Set(rows.map((row) => row.order_uid));
  },

  /** The order_uids of the last `count` orders inserted, newest first. */
  async newest(count: number): Promise<OrderUid[]> {
    const rows = await sql<
      { order_uid: OrderUid }[]
    >`select order_uid from orders order by id desc limit ${count}`;
    return rows.map((row) => row.order_uid);
  },

  /** Rejects when orders cannot be looked up: PostgreSQL does not answer, or does not have the tables yet. */
  async ping(): Promise<void> {
    await sql`select from orders limit 0`;
  },
});

export type Store = ReturnType<typeof createStore>;
