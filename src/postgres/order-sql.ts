import type { Order } from '../order/order.ts';
import { isNotErased } from './erased-sql.ts';
import { noEpoch } from './offsets.ts';

/**
 * The tables of an order as SQL: what is written to them, and how its JSON is read back. The values of many orders are sent as one
 * array for each column, so that one statement serves any number of orders.
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

/** `$1::text[], $2::bigint[], …`, numbered from `after` + 1. */
const parameters = (columns: Record<string, string>, after = 0) =>
  Object.values(columns)
    .map((type, index) => `$${after + index + 1}::${type}[]`)
    .join(', ');

const { order_uid: _, ...otherOrderColumns } = orderColumns;
const deliveriesAfter = orderNames.length;
const paymentsAfter = deliveriesAfter + deliveryNames.length;
const itemsAfter = paymentsAfter + paymentNames.length;
const orderParameters = itemsAfter + 1 + itemNames.length;

/**
 * The sub-select hides from the planner how many orders there are. Otherwise PostgreSQL would plan the statement anew for each small
 * batch, which takes longer than to execute it. It suffices for one array of each `unnest`.
 */
const orderUids = '(select $1::text[])';
const itemOrderUids = `(select $${itemsAfter + 1}::text[])`;

/**
 * The parameters of fenced ranges, which follow the orders: the group, an array for each column of the ranges, whether they are whole, and
 * how long to wait for a lock.
 */
const [
  groupId,
  topic,
  partitions,
  froms,
  tos,
  claims,
  nextClaims,
  leaderEpochs,
  places,
  sizes,
  areWhole,
  lockTimeout,
] = Array.from({ length: 12 }, (_, index) => `$${orderParameters + index + 1}`);

/** Whether the order of a row was inserted. All of them are, as a rule: then no row is looked up. */
const isInserted = `((select count(*) = cardinality($1::text[]) from inserted)
      or order_uid in (select order_uid from inserted))`;

/**
 * Locks the rows of the ranges' partitions, always in the same order, as far as each range begins at its stored offset and has its
 * claim. `place` is that of the order before the range's first, `size` how many orders the range has.
 */
const fence = `patience as materialized (
    select set_config('lock_timeout', coalesce(${lockTimeout}, current_setting('lock_timeout')), true)
  ), fence as materialized (
    select number, upto, next_claim::uuid, nullif(epoch, ${noEpoch}) as epoch, place, size
    from unnest((select ${partitions}::bigint[]), ${froms}::bigint[], ${tos}::bigint[], ${claims}::text[],
      ${nextClaims}::text[], ${leaderEpochs}::bigint[], ${places}::bigint[], ${sizes}::bigint[])
      as ranges (number, start, upto, claim, next_claim, epoch, place, size)
    cross join patience
    join consumed_offsets c on group_id = ${groupId} and topic = ${topic} and partition = number
      and next_offset = start and c.claim in (ranges.claim::uuid, next_claim::uuid)
    order by number
    for update of c
  )`;

/** Whether the order of a row is in a range that was locked. All are, as a rule: then no row is looked up. */
const isFenced = `((select count(*) = cardinality(${partitions}::bigint[]) from fence)
      or exists (select from fence where sent.place > fence.place and sent.place <= fence.place + size))`;

/** Moves the stored offsets to the ends of the ranges if all their orders were inserted and nothing else is in the ranges. */
const move = `outcome as materialized (
    select ${areWhole}::boolean and count(*) = (select sum(size) from fence) as is_complete from inserted
  ), moved as (
    update consumed_offsets
    set claim = next_claim,
      next_offset = case when is_complete then upto else next_offset end,
      leader_epoch = case when is_complete then epoch else leader_epoch end
    from fence, outcome
    where group_id = ${groupId} and topic = ${topic} and partition = number
    returning partition, next_offset
  )`;

/**
 * Orders that were erased are not inserted. Returns a row for each range that was locked, and inserts the orders of these only; if the
 * stored offsets have not moved, a row for each order that was inserted as well. Without ranges all orders are inserted.
 */
export const saveStatement = `
  with ${fence}, inserted as (
    insert into orders (${orderNames})
    select ${orderNames.map((name) => (name === 'date_created' ? 'date_created::timestamptz' : name))}
    from unnest(${orderUids}, ${parameters(otherOrderColumns, 1)})
      with ordinality as sent (${orderNames}, place)
    where ${isFenced} and ${isNotErased('order_uid')}
    order by place
    on conflict (order_uid) do nothing
    returning order_uid
  ), inserted_deliveries as (
    insert into deliveries (order_uid, ${deliveryNames})
    select order_uid, ${deliveryNames}
    from unnest(${orderUids}, ${parameters(deliveryColumns, deliveriesAfter)})
      as sent (order_uid, ${deliveryNames})
    where ${isInserted}
  ), inserted_payments as (
    insert into payments (order_uid, ${paymentNames})
    select order_uid, ${paymentNames}
    from unnest(${orderUids}, ${parameters(paymentColumns, paymentsAfter)})
      as sent (order_uid, ${paymentNames})
    where ${isInserted}
  ), inserted_items as (
    insert into items (order_uid, ${itemNames})
    select order_uid, ${itemNames}
    from unnest(${itemOrderUids}, ${parameters(itemColumns, itemsAfter + 1)})
      with ordinality as sent (order_uid, ${itemNames}, place)
    where ${isInserted}
    order by place
  ), ${move}
  select partition, next_offset, null as order_uid from moved
  union all
  select null, null, order_uid from inserted, outcome where not is_complete`;

const instant = (column: string) => `
  to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
  || rtrim(to_char(${column} at time zone 'UTC', '.US'), '.0') || 'Z'`;

/** An order's JSON, as `document`, from `orders o`. Compact and with the schema's order of fields: the text that JSON.stringify makes. */
export const document = `
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

/** The orders' parameters of `saveStatement`: one array for each column. */
export const toColumns = (orders: readonly Order[]): unknown[][] => {
  const columns: unknown[][] = [];
  for (const name of orderNames) columns.push(orders.map((order) => order[name]));
  for (const name of deliveryNames) columns.push(orders.map(({ delivery }) => delivery[name]));
  for (const name of paymentNames) columns.push(orders.map(({ payment }) => payment[name]));
  columns.push(orders.flatMap(({ order_uid, items }) => items.map(() => order_uid)));
  const items = orders.flatMap((order) => order.items);
  for (const name of itemNames) columns.push(items.map((item) => item[name]));
  return columns;
};
