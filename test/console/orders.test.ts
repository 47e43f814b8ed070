/** Orders in the console: what a typed text is taken for, pages, the search and its indexes, and the export, on PostgreSQL. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { recognise } from '../../src/console/orders/recognise.ts';
import { keepIndexes } from '../../src/postgres/indexes.ts';
import { createOrderSearch, type SearchField, searchFieldNames } from '../../src/postgres/search.ts';
import { readyFields, searchIndexes } from '../../src/postgres/search-indexes.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent, testDatabase } from '../support/kafka-and-postgres.ts';
import { openConsole } from '../support/open-console.ts';

setDefaultTimeout(60_000);

const never = new AbortController().signal;

/** A console on a database with these orders, and indexes for these fields. */
const open = async (
  orders: readonly ReturnType<typeof buildOrder>[],
  fields: readonly SearchField[] = searchFieldNames,
) => {
  const database = await testDatabase();
  const { sql } = database;
  const store = createStore(sql);
  for (const order of orders) await store.save([order]);
  await keepIndexes(sql, searchIndexes(fields), silent, never);
  const desk = openConsole({ search: createOrderSearch(sql), readyFields: () => readyFields(sql) });
  return {
    ...desk,
    sql,
    store,
    find: async (q: string, more = '') =>
      (await desk.get(`/console/api/orders?q=${encodeURIComponent(q)}${more}`)).json(),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
};

const uidsOf = (orders: { order_uid: string }[]) => orders.map(({ order_uid }) => order_uid);

const anna = buildOrder({
  order_uid: '8e3d77aa01c93afd4',
  track_number: 'WBIL0000000001',
  customer_id: 'customer-anna',
  delivery: { phone: '+79771234567', email: 'Anna.Petrova@Example.org', name: 'Anna' },
  payment: { transaction: 'transaction-anna', amount: 1817, currency: 'USD' },
});
const annaItem = { ...anna.items[0], rid: 'rid-of-anna', nm_id: 2_389_212 } as (typeof anna.items)[0];
const first = { ...anna, items: [annaItem, annaItem] };
const other = buildOrder({ order_uid: '8e3d-another-order', delivery: { phone: '+4915112345678' } });

test.each([
  ['8e3d77aa01c93afd4', 'number'],
  ['  8e3d77aa01c93afd4 ', 'number'],
  ['8e3d…3afd4', 'short'],
  ['8e3d...3afd4', 'short'],
  ['8e3d77', 'beginning'],
  ['WBIL0000000001', 'track'],
  ['customer-anna', 'customer'],
  ['+7 977 123-45-67', 'phone'],
  ['8 (977) 123-45-67', 'phone'],
  ['79771234567', 'phone'],
  ['anna.petrova@example.ORG', 'email'],
  ['transaction-anna', 'transaction'],
  ['rid-of-anna', 'rid'],
  ['2389212', 'nm_id'],
])('%j finds the order, and is taken for: %s', async (typed, kind) => {
  await using console = await shared();
  const found = await console.find(typed);
  expect([found.kind, uidsOf(found.orders)]).toEqual([kind, [first.order_uid]]);
  expect(found.orders[0]).toEqual({
    order_uid: first.order_uid,
    date_created: `${first.date_created.slice(0, 19)}Z`,
    amount: 1817,
    currency: 'USD',
    items: 2,
    name: 'Anna',
    city: first.delivery.city,
    track_number: first.track_number,
  });
});

let opened: ReturnType<typeof open> | undefined;
afterAll(async () => (await opened)?.[Symbol.asyncDispose]());
/** One console for the tests that only read. */
const shared = async () => {
  opened ??= open([first, other]);
  const { find, get } = await opened;
  return { find, get, async [Symbol.asyncDispose]() {} };
};

test('what is too short or too long finds nothing, and a beginning finds all that begin so', async () => {
  await using console = await shared();
  expect(await console.find('8e3')).toMatchObject({ orders: [], next: null });
  expect(await console.find('no-such-order-at-all')).toMatchObject({ orders: [], kind: 'number' });
  expect(uidsOf((await console.find('8e3d')).orders)).toEqual([other.order_uid, first.order_uid]);
  expect(recognise(`${'x'.repeat(201)}`)).toEqual([]);
  const page = await (
    await console.get('/console/orders?q=anna@nowhere.example', { cookie: 'lang=en' })
  ).text();
  expect(page).toContain('No orders found.');
  const long = await console.get(`/console/orders?q=${'x'.repeat(51)}`, { cookie: 'lang=en' });
  expect(await long.text()).toContain('This is too long for a number or any other field.');
});

test('pages are by key: orders that arrive between two pages shift nothing', async () => {
  const make = createOrderMaker({ seed: 3 });
  const orders = Array.from({ length: 7 }, () => ({ ...make(), customer_id: 'one-customer' }));
  await using console = await open(orders, ['customer']);
  const newestFirst = uidsOf(orders).toReversed();
  for (const q of ['', 'one-customer']) {
    const pages: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const after: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
      const page = await console.find(q, `&limit=3${after}`);
      pages.push(...uidsOf(page.orders));
      cursor = page.next;
      await console.store.save([{ ...make(), customer_id: 'one-customer' }]);
    }
    expect(pages.filter((uid) => newestFirst.includes(uid))).toEqual(newestFirst);
    expect(new Set(pages).size).toBe(pages.length);
  }
});

test('every search uses an index, none reads a whole table', async () => {
  const make = createOrderMaker({ seed: 4 });
  await using console = await open([]);
  const { sql } = console;
  await console.store.save(Array.from({ length: 2_000 }, make));
  await sql`analyze`;
  const plans: string[] = [];
  const explaining = Object.assign(Object.create(sql), {
    async unsafe(text: string, parameters: never[]) {
      const rows = await sql.unsafe(`explain ${text}`, parameters);
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
      return [];
    },
  });
  const search = createOrderSearch(explaining);
  const paging = { limit: 50 };
  await search.newest(paging);
  await search.byNumber('8e3d77aa01c93afd4', paging);
  await search.byPrefix('8e3d', paging);
  await search.byShortForm('8e3d', '3afd4', paging);
  for (const field of searchFieldNames) await search.byField[field]('123456789', paging);
  await search.documents(paging);
  // Those by items are two queries each.
  expect(plans).toHaveLength(5 + searchFieldNames.length + 2);
  for (const plan of plans) expect(plan).not.toMatch(/Seq Scan on (orders|items|deliveries|payments)/);
});

test('indexes are made for the fields that are named, and dropped for the others; a field without one is not searched', async () => {
  await using console = await open([first], ['customer', 'phone']);
  const { sql, find } = console;
  expect([...(await readyFields(sql))].sort()).toEqual(['customer', 'phone']);
  expect(await find('anna.petrova@example.org')).toEqual({
    orders: [],
    kind: 'email',
    unsearched: ['email'],
    next: null,
  });
  await keepIndexes(sql, searchIndexes(['email', 'phone']), silent, never);
  expect([...(await readyFields(sql))].sort()).toEqual(['email', 'phone']);
  expect(uidsOf((await find('anna.petrova@example.org')).orders)).toEqual([first.order_uid]);
  const page = await (await console.get('/console/orders?q=customer-nobody', { cookie: 'lang=en' })).text();
  expect(page).toContain('Not searched: track number, transaction, rid, customer.');
});

test('the page offers the fields that are searched, in each language, and no other', async () => {
  await using console = await open([first], ['customer']);
  const read = async (language: string, q = '') => {
    const page = await console.get(`/console/orders?q=${encodeURIComponent(q)}`, {
      cookie: `lang=${language}`,
    });
    const html = await page.text();
    const hints = [...html.matchAll(/<p class="hint"[^>]*>([^<]*)/g)].map(([, hint]) => hint?.trim());
    return [page.status, ...hints];
  };
  const number = 'A number, its beginning of 4 characters or more, or its short form 8e3d…3afd4.';
  expect(await read('en')).toEqual([200, `${number} Also searched: customer.`]);
  expect(await read('ru')).toEqual([
    200,
    'Номер, его начало от 4 символов или короткая форма 8e3d…3afd4. Поиск идёт и по полям: покупатель.',
  ]);
  expect(await read('en', '+79990000000')).toEqual([
    200,
    `${number} Also searched: customer.`,
    'Not searched: phone. CONSOLE_SEARCH does not name it, or its index is not complete yet.',
  ]);
  expect(await read('en', 'nobody at all')).toEqual([
    200,
    `${number} Also searched: customer.`,
    'Not searched: transaction, rid. CONSOLE_SEARCH does not name them, or their indexes are not complete yet.',
  ]);
  await keepIndexes(console.sql, searchIndexes(['nm_id', 'email', 'track']), silent, never);
  expect(await read('en')).toEqual([200, `${number} Also searched: track number, email, nm_id.`]);
  await keepIndexes(console.sql, searchIndexes([]), silent, never);
  expect(await read('en')).toEqual([200, number]);
  await console.sql.end();
  expect(await read('en')).toEqual([503, number]);
});

test('an index whose build was interrupted is built again, and several processes may make them at once', async () => {
  await using console = await open([first], []);
  const { sql } = console;
  await sql.unsafe('create index console_search_phone on deliveries (phone)');
  await sql.unsafe(
    `update pg_index set indisvalid = false where indexrelid = 'console_search_phone'::regclass`,
  );
  expect((await readyFields(sql)).size).toBe(0);
  await Promise.all([1, 2, 3].map(() => keepIndexes(sql, searchIndexes(searchFieldNames), silent, never)));
  expect((await readyFields(sql)).size).toBe(searchFieldNames.length);
});

test('the export has every order, as NDJSON exactly as it is looked up', async () => {
  const orders = Array.from({ length: 250 }, createOrderMaker({ seed: 5 }));
  await using console = await open(orders, []);
  const { get, lines } = console;
  const ndjson = await get('/console/api/orders/export');
  expect(ndjson.headers.get('content-disposition')).toBe('attachment; filename="orders.ndjson"');
  const documents = (await ndjson.text()).trim().split('\n');
  expect(documents).toHaveLength(250);
  const [newest] = documents;
  expect(newest).toBe(await console.store.find(orders.at(-1)?.order_uid as never));
  expect(new Set(documents.map((json) => JSON.parse(json).order_uid)).size).toBe(250);
  const csv = await (await get('/console/api/orders/export?format=csv')).text();
  expect(csv.trim().split('\r\n').length).toBe(251);
  const some = await get(`/console/api/orders/export?q=${orders[3]?.order_uid}`);
  expect(JSON.parse(await some.text())).toMatchObject({ order_uid: orders[3]?.order_uid });
  expect(lines.map(({ line }) => line).filter(({ action }) => action)).toEqual([
    { operator: 'anna', action: 'export', format: 'ndjson', orders: 250, state: 'done' },
    { operator: 'anna', action: 'export', format: 'csv', orders: 250, state: 'done' },
    { operator: 'anna', action: 'export', format: 'ndjson', orders: 1, state: 'done' },
  ]);
});

test.each([
  ['?limit=1000', 'limit is not allowed'],
  ['?cursor=x', 'cursor is not allowed'],
  ['?cursor=track~x', 'cursor is not allowed'],
  ['?q=%00', 'q is not allowed'],
  [`?q=${'x'.repeat(201)}`, 'q is not allowed'],
  ['/export?format=xlsx', 'format is not allowed; allowed: csv, ndjson.'],
])('the query %s is a problem that says: %s', async (query, detail) => {
  const { get } = openConsole();
  const response = await get(`/console/api/orders${query}`);
  expect([response.status, (await response.json()).detail]).toEqual([400, expect.stringContaining(detail)]);
});

test('while PostgreSQL does not answer, the API and the page say so', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  await sql.end();
  const { get } = openConsole({ search: createOrderSearch(sql), readyFields: () => readyFields(sql) });
  expect((await get('/console/api/orders')).status).toBe(503);
  expect((await get('/console/api/orders/export')).status).toBe(503);
  expect((await get('/console/api/orders/export?q=WBILMTESTTRACK')).status).toBe(503);
  const page = await get('/console/orders', { cookie: 'lang=en' });
  expect([page.status, await page.text()]).toEqual([
    503,
    expect.stringContaining('The database does not answer'),
  ]);
});
