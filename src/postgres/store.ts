import type { Sql } from 'postgres';
import type { Order, OrderUid } from '../order/order.ts';
import { type FencedRange, rangeParameters } from './offsets.ts';

/**
 * Orders in PostgreSQL. Every SQL query for orders is in this file.
 * All functions reject with the driver's error; `isRefused(error)` tells whether it was the order's own fault.
 */

const orderColumns = {
  order_uid: 'text',
  track_number: 'text',
  entry: 'text',
  locale: 'text',
  internal_signature: 'text',
  customer_id: 'text',
  delivery_service: 'text',
  shardkey: 'text',
  sm_id: 'bigint',
  // As text: a parameter of type timestamptz would pass through Date, which has no microseconds.
  date_created: 'text',
  oof_shard: 'text',
} as const;

const deliveryColumns = {
  name: 'text',
  phone: 'text',
  zip: 'text',
  city: 'text',
  address: 'text',
  region: 'text',
  email: 'text',
} as const;

const paymentColumns = {
  transaction: 'text',
  request_id: 'text',
  currency: 'text',
  provider: 'text',
  amount: 'bigint',
  payment_dt: 'bigint',
  bank: 'text',
  delivery_cost: 'bigint',
  goods_total: 'bigint',
  custom_fee: 'bigint',
} as const;

const itemColumns = {
  chrt_id: 'bigint',
  track_number: 'text',
  price: 'bigint',
  rid: 'text',
  name: 'text',
  sale: 'bigint',
  size: 'text',
  total_price: 'bigint',
  nm_id: 'bigint',
  brand: 'text',
  status: 'bigint',
} as const;

const names = <Columns extends object>(columns: Columns) =>
  Object.keys(columns) as (keyof Columns & string)[];
const orderNames = names(orderColumns);
const deliveryNames = names(deliveryColumns);
const paymentNames = names(paymentColumns);
const itemNames = names(itemColumns);

const sentColumns = { ...orderColumns, ...deliveryColumns, ...paymentColumns };
const sentItemColumns = { order_uid: 'text', ...itemColumns };

/** `$1::text[], $2::bigint[], …`: one array for each column, as one statement must serve any number of rows. */
const parameters = (columns: Record<string, string>, after = 0) =>
  Object.values(columns)
    .map((type, index) => `$${after + index + 1}::${type}[]`)
    .join(', ');

const orderParameters = names(sentColumns).length + names(sentItemColumns).length;
/** A step's, which come after the orders, and how many orders have to be new for the stored offset to be moved. */
const [groupId, topic, partition, from, to, claim, nextClaim, needed] = Array.from(
  { length: 8 },
  (_, index) => `$${orderParameters + index + 1}`,
);

/**
 * Fenced: locks the row of the partition first, and inserts nothing unless the range begins at the stored offset and the claim
 * is the same. No rows then; otherwise a row for each order that was new, or one without an order.
 */
const saveStatement = (isFenced: boolean) => `
  with ${
    isFenced
      ? `mine as materialized (
    select from consumed_offsets
    where group_id = ${groupId} and topic = ${topic} and partition = ${partition}
      and next_offset = ${from} and claim in (${claim}, ${nextClaim})
    for update
  ), `
      : ''
  }sent as materialized (
    select * from unnest(${parameters(sentColumns)}) with ordinality as sent (${names(sentColumns)}, place)
    ${isFenced ? 'where exists (select from mine)' : ''}
  ), entered as (
    insert into orders (${orderNames})
    select ${orderNames.map((name) => (name === 'date_created' ? 'date_created::timestamptz' : name))}
    from sent order by place
    on conflict (order_uid) do nothing
    returning order_uid
  ), entered_deliveries as (
    insert into deliveries (order_uid, ${deliveryNames})
    select order_uid, ${deliveryNames} from sent join entered using (order_uid)
  ), entered_payments as (
    insert into payments (order_uid, ${paymentNames})
    select order_uid, ${paymentNames} from sent join entered using (order_uid)
  ), entered_items as (
    insert into items (order_uid, ${itemNames})
    select order_uid, ${itemNames}
    from unnest(${parameters(sentItemColumns, names(sentColumns).length)})
      with ordinality as item (order_uid, ${itemNames}, place)
    join entered using (order_uid)
    order by place
  )${
    isFenced
      ? `, moved as (
    update consumed_offsets
    set claim = ${nextClaim},
      next_offset = case (select count(*) from entered) when ${needed} then ${to} else next_offset end
    where group_id = ${groupId} and topic = ${topic} and partition = ${partition} and exists (select from mine)
    returning next_offset
  )
  select next_offset, order_uid from moved left join entered on true`
      : 'select order_uid from entered'
  }`;

const saveOnly = saveStatement(false);
const saveFenced = saveStatement(true);

const instant = (column: string) => `
  to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
  || rtrim(to_char(${column} at time zone 'UTC', '.US'), '.0') || 'Z'`;

/** An order's JSON, compact and with the schema's order of fields: the same text that JSON makes of the order. */
const document = `
  (select row_to_json(document) from (
    select
      o.order_uid, o.track_number, o.entry,
      (select row_to_json(d) from (select ${deliveryNames} from deliveries where order_uid = o.order_uid) d) as delivery,
      (select row_to_json(p) from (select ${paymentNames} from payments where order_uid = o.order_uid) p) as payment,
      array_to_json(array(
        select row_to_json(i) from (select ${itemNames} from items where order_uid = o.order_uid order by id) i
      )) as items,
      o.locale, o.internal_signature, o.customer_id, o.delivery_service, o.shardkey, o.sm_id,
      ${instant('o.date_created')} as date_created,
      o.oof_shard
  ) document)::text as document`;

/** One array for each column, in the order of `parameters`. */
const toColumns = (orders: readonly Order[]): unknown[][] => {
  const columns: unknown[][] = [];
  for (const name of orderNames) columns.push(orders.map((order) => order[name]));
  for (const name of deliveryNames) columns.push(orders.map(({ delivery }) => delivery[name]));
  for (const name of paymentNames) columns.push(orders.map(({ payment }) => payment[name]));
  columns.push(orders.flatMap(({ order_uid, items }) => items.map(() => order_uid)));
  const items = orders.flatMap((order) => order.items);
  for (const name of itemNames) columns.push(items.map((item) => item[name]));
  return columns;
};

/** Constraints on numbers that PostgreSQL draws: a counter behind its table, as after a restore by hand, is no order's fault. */
const drawnNumbers = ['orders_id_key', 'items_pkey'];

/**
 * PostgreSQL refused the content of an order: a data error, a constraint, or a trigger that raised.
 * Anything else is the state of the service, and the same orders can be stored later.
 */
export const isDataError = (error: unknown): boolean => {
  const { code, constraint_name: constraint } = (error ?? {}) as { code?: unknown; constraint_name?: string };
  if (typeof code !== 'string' || !/^(22|23)[0-9A-Z]{3}$|^P0001$/.test(code)) return false;
  return !drawnNumbers.includes(constraint ?? '');
};

/** `isMoved`: the stored offset is at the end of the range now. */
export type Saved = { inserted: Set<OrderUid>; isMoved: boolean };

export const createStore = (sql: Sql) => ({
  /**
   * Stores what is not stored yet, all of it or nothing, in one round trip. Returns the uids that were new.
   * The orders must have different uids. For orders that are from no topic.
   */
  async save(orders: readonly Order[]): Promise<Set<OrderUid>> {
    const rows = await sql.unsafe<{ order_uid: OrderUid }[]>(saveOnly, toColumns(orders) as never[], {
      prepare: true,
    });
    return new Set(rows.map((row) => row.order_uid));
  },

  /**
   * As `save`, of orders from an offset range. Undefined, and nothing is stored, unless the range begins at the stored offset
   * and the step's claim holds. With `isWhole` the orders are all that is in the range: if all of them are new, the stored
   * offset is moved as well.
   */
  async saveBatch(orders: readonly Order[], step: FencedRange, isWhole: boolean): Promise<Saved | undefined> {
    const rows = await sql.unsafe<{ order_uid: OrderUid | null; next_offset: string }[]>(
      saveFenced,
      [...toColumns(orders), ...rangeParameters(step), isWhole ? orders.length : -1] as never[],
      { prepare: true },
    );
    if (!rows[0]) return undefined;
    const isMoved = BigInt(rows[0].next_offset) === step.to;
    return { inserted: new Set(rows.flatMap(({ order_uid }) => order_uid ?? [])), isMoved };
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

  /** Those of the orders that are stored, as JSON text. */
  async findAll(uids: readonly OrderUid[]): Promise<Map<OrderUid, string>> {
    const rows = await sql.unsafe<{ order_uid: OrderUid; document: string }[]>(
      `select o.order_uid, ${document} from orders o where o.order_uid = any($1::text[])`,
      [uids as never],
      { prepare: true },
    );
    return new Map(rows.map((row) => [row.order_uid, row.document]));
  },

  /** The uids of the last `count` orders entered, newest first. */
  async newest(count: number): Promise<OrderUid[]> {
    const rows = await sql<
      { order_uid: OrderUid }[]
    >`select order_uid from orders order by id desc limit ${count}`;
    return rows.map((row) => row.order_uid);
  },

  /** Rejects when orders cannot be looked up: PostgreSQL does not answer, or has not our tables yet. */
  async ping(): Promise<void> {
    await sql`select from orders limit 0`;
  },
});

export type Store = ReturnType<typeof createStore>;
