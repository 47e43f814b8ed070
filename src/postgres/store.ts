import type { Sql } from 'postgres';
import type { Order, OrderUid } from '../order/order.ts';
import { isNotErased } from './erased-sql.ts';
import { otherCasesParameters, otherCasesStatement } from './letter-case.ts';
import { type FencedRange, noEpoch } from './offsets.ts';
import { document, saveStatement, toColumns } from './order-sql.ts';

/** Orders from an offset range. `isWhole`: nothing else is in the range; if all the orders are new, the stored offset moves to its end. */
export type OrderBatch = { orders: readonly Order[]; range: FencedRange; isWhole: boolean };

/** `isMoved`: the stored offset is at the end of the range now. */
export type Saved = { inserted: Set<OrderUid>; isMoved: boolean };

type SavedRow = { partition: number | null; next_offset: string | null; order_uid: OrderUid | null };

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
    const rows = await insert(sql, orders, []);
    return new Set(rows.flatMap(({ order_uid }) => order_uid ?? []));
  },

  /**
   * As `save`, for orders from offset ranges, which are of one group and of different partitions. Undefined for a range that does not
   * begin at the stored offset or has lost its claim: none of its orders is inserted. Either all stored offsets move or none. Several
   * batches wait for a lock for 200 ms at most.
   */
  async saveBatches(batches: readonly OrderBatch[]): Promise<(Saved | undefined)[]> {
    const rows = await insert(
      sql,
      batches.flatMap(({ orders }) => orders),
      batches,
    );
    const offsets = new Map(rows.map(({ partition, next_offset }) => [partition, next_offset]));
    const inserted = new Set(rows.map(({ order_uid }) => order_uid));
    return batches.map(({ orders, range }) => {
      const offset = offsets.get(range.partition);
      if (!offset) return undefined;
      const isMoved = BigInt(offset) === range.to;
      const uids = orders.map((order) => order.order_uid);
      return { inserted: new Set(isMoved ? uids : uids.filter((uid) => inserted.has(uid))), isMoved };
    });
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

const insert = (sql: Sql, orders: readonly Order[], batches: readonly OrderBatch[]) =>
  sql.unsafe<SavedRow[]>(saveStatement, [...toColumns(orders), ...rangeParameters(batches)] as never[], {
    prepare: true,
  });

/** A lock that one of several batches waits for must not delay the others. PostgreSQL's `lock_timeout`. */
const combinedLockTimeout = '200ms';

const rangeParameters = (batches: readonly OrderBatch[]): unknown[] => {
  const ranges = batches.map(({ range }) => range);
  let place = 0;
  const places = batches.map(({ orders }) => {
    const before = place;
    place += orders.length;
    return before;
  });
  return [
    ranges[0]?.groupId ?? null,
    ranges[0]?.topic ?? null,
    ranges.map(({ partition }) => partition),
    ranges.map(({ from }) => String(from)),
    ranges.map(({ to }) => String(to)),
    ranges.map(({ claim }) => claim),
    ranges.map(({ nextClaim }) => nextClaim),
    ranges.map(({ leaderEpoch = noEpoch }) => leaderEpoch),
    places,
    batches.map(({ orders }) => orders.length),
    batches.length > 0 && batches.every(({ isWhole }) => isWhole),
    batches.length > 1 ? combinedLockTimeout : null,
  ];
};
