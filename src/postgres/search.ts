import type { Sql } from 'postgres';
import type { OrderUid } from '../order/order.ts';
import { emailSpellings } from './email-case.ts';
import { document } from './order-sql.ts';

/** Fields that orders are searched by, beside their numbers. Each has an index, which is made where the field is searched. */
export const searchFields = {
  track: { table: 'orders', columns: 'track_number, id' },
  customer: { table: 'orders', columns: 'customer_id, id' },
  phone: { table: 'deliveries', columns: 'phone' },
  email: { table: 'deliveries', columns: 'lower(email)' },
  transaction: { table: 'payments', columns: 'transaction' },
  rid: { table: 'items', columns: 'rid' },
  nm_id: { table: 'items', columns: 'nm_id, id' },
} as const;

export type SearchField = keyof typeof searchFields;
export const searchFieldNames = Object.keys(searchFields) as SearchField[];
/** The fields that are columns of the table of orders. */
export const ownSearchFields: readonly SearchField[] = ['track', 'customer'];

/** An order in a list. Amounts are in whole units of the currency. */
type FoundOrder = {
  order_uid: OrderUid;
  date_created: string;
  amount: number;
  currency: string;
  /** The number of them. */
  items: number;
  name: string;
  city: string;
  track_number: string;
};

/** `next`: where the next page starts; undefined for the last one. */
export type FoundPage = { orders: FoundOrder[]; next: string | undefined };

type Paging = { limit: number; after?: string | undefined };
type Row = FoundOrder & { place: string };

/** `place`, `last`: ids of the order's newest item and of the oldest of all rows. `isListed`: it has an item before these. */
type ItemsRow = { order_uid: OrderUid; place: string; last: string; items: number; isListed: boolean };

/** The items that are read at a time for each order of a page, as an order may have many of one article. */
const itemsPerOrder = 20;

const selected = `
  o.order_uid, to_char(o.date_created at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as date_created,
  p.amount::float8 as amount, p.currency, d.name, d.city, o.track_number,
  (select count(*)::int from items i where i.order_uid = o.order_uid) as items`;
const joined = 'join payments p using (order_uid) join deliveries d using (order_uid)';

const toOrders = (rows: readonly Row[]): FoundOrder[] => rows.map(({ place: _, ...order }) => order);

const toPage = (rows: readonly Row[], limit: number): FoundPage => ({
  orders: toOrders(rows.slice(0, limit)),
  next: rows.length > limit ? rows[limit - 1]?.place : undefined,
});

/** A position in the table of orders; without one its end. */
const beforeId = (after: string | undefined) => after ?? String(2n ** 63n - 1n);

/** Greater than every text that begins with `prefix`, byte by byte. */
const afterPrefix = (prefix: string) => `${prefix}\u{10ffff}`;

/**
 * Finds orders for people: in pages by key, newest first, and by their fields. Every query uses an index. All functions reject with
 * the driver's error.
 */
export const createOrderSearch = (sql: Sql) => {
  const query = (text: string, parameters: unknown[]) =>
    sql.unsafe<Row[]>(text, parameters as never[], { prepare: true });

  /** By a condition on `orders o`, `deliveries d` or `payments p`; its parameters are numbered from 3. */
  const where = async (condition: string, values: unknown[], { limit, after }: Paging) =>
    toPage(
      await query(
        `select ${selected}, o.id::text as place from orders o ${joined}
         where o.id < $1::bigint and ${condition} order by o.id desc limit $2::int`,
        [beforeId(after), limit + 1, ...values],
      ),
      limit,
    );

  /** One step of `whereItems`: the orders of the newest items, each at the newest of them. */
  const readItems = (condition: string, value: string, before: string, window: number) =>
    sql.unsafe<ItemsRow[]>(
      `with newest as materialized (
         select order_uid, id from items where id < $1::bigint and ${condition} order by id desc limit $2::int
       )
       select order_uid, max(id)::text as place,
         (min(min(id)) over ())::text as last, (sum(count(*)) over ())::int as items,
         exists (
           select from items i where i.order_uid = newest.order_uid and i.id >= $1::bigint and ${condition}
         ) as "isListed"
       from newest group by order_uid order by max(id) desc`,
      [before, window, value] as never[],
      { prepare: true },
    );

  /**
   * By a condition on `items`: the newest items, then their orders, each where its newest item is. An order may have a thousand items,
   * so more of them are read until the page is full.
   */
  const whereItems = async (condition: string, value: string, { limit, after }: Paging) => {
    const window = (limit + 1) * itemsPerOrder;
    const found: ItemsRow[] = [];
    for (let before: string | undefined = beforeId(after); before !== undefined && found.length <= limit; ) {
      const rows: ItemsRow[] = await readItems(condition, value, before, window);
      found.push(...rows.filter(({ isListed }) => !isListed));
      before = rows[0]?.items === window ? rows[0].last : undefined;
    }
    const page = found.slice(0, limit);
    const rows = await query(
      `select ${selected}, place from unnest($1::text[]) with ordinality as found (order_uid, place)
       join orders o using (order_uid) ${joined} order by place`,
      [page.map((row) => row.order_uid)],
    );
    return { orders: toOrders(rows), next: found.length > limit ? page.at(-1)?.place : undefined };
  };

  /** In the order of the numbers. */
  const byNumbers = async (from: string, to: string, ending: string, { limit, after }: Paging) =>
    toPage(
      await query(
        `select ${selected}, o.order_uid as place from orders o ${joined}
         where o.order_uid >= $1 and o.order_uid < $2 and o.order_uid > $3 and right(o.order_uid, $4::int) = $5
         order by o.order_uid limit $6::int`,
        [from, to, after ?? '', [...ending].length, ending, limit + 1],
      ),
      limit,
    );

  return {
    newest: (paging: Paging) => where('true', [], paging),
    byNumber: (uid: string, paging: Paging) => where('o.order_uid = $3', [uid], paging),
    byPrefix: (prefix: string, paging: Paging) => byNumbers(prefix, afterPrefix(prefix), '', paging),
    /** By the beginning and the end of the number. */
    byShortForm: (start: string, end: string, paging: Paging) =>
      byNumbers(start, afterPrefix(start), end, paging),
    byField: {
      track: (track, paging) => where('o.track_number = $3', [track], paging),
      customer: (customer, paging) => where('o.customer_id = $3', [customer], paging),
      /** `+` and digits. */
      phone: (phone, paging) => where('d.phone = $3', [phone], paging),
      email: (email, paging) =>
        where('lower(d.email) in (select lower(unnest($3::text[])))', [emailSpellings(email)], paging),
      transaction: (transaction, paging) => where('p.transaction = $3', [transaction], paging),
      rid: (rid, paging) => whereItems('rid = $3', rid, paging),
      nm_id: (number, paging) => whereItems('nm_id = $3::bigint', number, paging),
    } satisfies Record<SearchField, (value: string, paging: Paging) => Promise<FoundPage>>,

    /** These orders as JSON text, in their order. */
    async documentsOf(uids: readonly OrderUid[]): Promise<string[]> {
      const rows = await sql.unsafe<{ document: string }[]>(
        `select ${document} from unnest($1::text[]) with ordinality as asked (uid, place)
         join orders o on o.order_uid = asked.uid order by asked.place`,
        [uids as never],
        { prepare: true },
      );
      return rows.map((row) => row.document);
    },

    /** The next orders as JSON text, newest first, before a position that `next` has given. */
    async documents({ limit, after }: Paging): Promise<{ documents: string[]; next: string | undefined }> {
      const rows = await sql.unsafe<{ document: string; place: string }[]>(
        `select ${document}, o.id::text as place from orders o where o.id < $1::bigint order by o.id desc limit $2::int`,
        [beforeId(after), limit] as never[],
        { prepare: true },
      );
      return {
        documents: rows.map((row) => row.document),
        next: rows.length < limit ? undefined : rows.at(-1)?.place,
      };
    },
  };
};

export type OrderSearch = ReturnType<typeof createOrderSearch>;
