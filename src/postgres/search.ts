import type { Sql } from 'postgres';
import type { OrderUid } from '../order/order.ts';
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
export type FoundOrder = {
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

/** The items of one page that are looked at, as an order may have many of one article. */
const itemsPerOrder = 20;

const selected = `
  o.order_uid, to_char(o.date_created at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as date_created,
  p.amount::float8 as amount, p.currency, d.name, d.city, o.track_number,
  (select count(*)::int from items i where i.order_uid = o.order_uid) as items`;
const joined = 'join payments p using (order_uid) join deliveries d using (order_uid)';

const toPage = (rows: readonly Row[], limit: number): FoundPage => ({
  orders: rows.slice(0, limit).map(({ place: _, ...order }) => order),
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

  /** By a condition on `items`: the newest items, then their orders. */
  const whereItems = async (condition: string, value: string, { limit, after }: Paging) => {
    const window = (limit + 1) * itemsPerOrder;
    const rows = await query(
      `with found as (
         select order_uid, min(id) as place from (
           select order_uid, id from items where id < $1::bigint and ${condition}
           order by id desc limit ${window}
         ) newest group by order_uid
       )
       select ${selected}, f.place::text as place from found f join orders o using (order_uid) ${joined}
       order by f.place desc limit $2::int`,
      [beforeId(after), limit + 1, value],
    );
    return toPage(rows, limit);
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
      email: (email, paging) => where('lower(d.email) = lower($3)', [email], paging),
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
