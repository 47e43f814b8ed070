/** Erasing orders in the console: the API, and the page as a browser without JavaScript uses it. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import type { Sql } from 'postgres';
import type { Order } from '../../src/order/order.ts';
import { createErasures, type Erasures } from '../../src/postgres/erasures.ts';
import { createOrderSearch } from '../../src/postgres/search.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { anna, cookieOf, openConsole } from '../support/open-console.ts';

setDefaultTimeout(60_000);

const phone = '+79001234567';
const email = 'Ann.Smith@example.org';

const openErase = async (around: (erasures: Erasures) => Erasures = (erasures) => erasures) => {
  const database = await testDatabase();
  const { sql } = database;
  const store = createStore(sql);
  const orders = Array.from({ length: 5 }, createOrderMaker({ seed: 9 }));
  for (const order of orders.slice(0, 3)) order.delivery = { ...order.delivery, phone, email };
  await store.save(orders);
  const desk = openConsole({
    erasures: around(createErasures(sql)),
    search: createOrderSearch(sql),
    readyFields: async () => new Set<never>(),
  });
  const headers = { authorization: `Bearer ${anna.token}` };
  return {
    ...desk,
    sql,
    store,
    orders,
    uids: orders.map((order) => order.order_uid),
    stored: async () => (await store.newest(9)).toSorted(),
    post: (body: unknown, more: Record<string, string> = {}) =>
      desk.ask('/console/api/erase', {
        method: 'POST',
        headers: { ...headers, ...more },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    submit: async (fields: Record<string, string>, more: Record<string, string> = {}) => {
      const body = new FormData();
      for (const [name, value] of Object.entries(fields)) body.append(name, value);
      const response = await desk.ask('/console/erase', {
        method: 'POST',
        headers: { cookie: 'lang=en', ...headers, ...more },
        body,
      });
      return { status: response.status, html: await response.text() };
    },
    /** Beside the lines that each request has. */
    audits: () => desk.lines.filter(({ line }) => line.action === 'erase').map(({ line }) => line),
    [Symbol.asyncDispose]: database[Symbol.asyncDispose],
  };
};

/** The fields of the form that confirms, as a browser sends them. */
const fieldsOf = (html: string) => {
  const form = html.split('<form').at(-1) ?? '';
  const decode = (text: string) => text.replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  return Object.fromEntries(
    [...form.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [
      name,
      decode(value),
    ]),
  );
};

test.each([
  ['phone', { phone: '+7 900 123-45-67' }],
  ['email', { email: email.toUpperCase() }],
])('a dry run by %s reports the orders, and their number confirms the erasure', async (by, selection) => {
  await using console = await openErase();
  const { post, uids, store } = console;
  const found = await (await post({ ...selection, dryRun: true })).json();
  expect(found).toEqual({
    count: 3,
    stored: 3,
    set: expect.stringMatching(/^[0-9a-f]{32}$/),
    uids: uids.slice(0, 3),
  });
  expect(await console.stored()).toEqual(uids.toSorted());

  const missing = await post(selection);
  expect([missing.status, (await missing.json()).detail]).toEqual([
    400,
    '"count" is needed, as a dry run has reported it; or "dryRun": true.',
  ]);
  const wrong = await post({ ...selection, count: 2 });
  expect([wrong.status, (await wrong.json()).detail]).toEqual([
    409,
    'Nothing was erased: 3 orders match, not those of "count" and "set". Look at them by a dry run.',
  ]);
  expect(await console.stored()).toEqual(uids.toSorted());

  const done = await post({ ...selection, count: 3, set: found.set });
  expect([done.status, await done.json()]).toEqual([200, { erased: 3, marked: 0 }]);
  expect(await console.stored()).toEqual(uids.slice(3).toSorted());
  expect(await store.findErased(uids)).toEqual(new Set(uids.slice(0, 3)));
  expect(console.audits()).toEqual([
    { operator: 'anna', action: 'erase', by, state: 'found', orders: 3, stored: 3 },
    { operator: 'anna', action: 'erase', by, state: 'refused', orders: 3 },
    { operator: 'anna', action: 'erase', by, state: 'done', orders: 3, erased: 3, marked: 0 },
  ]);
});

test('orders are erased by number, those that are not stored are marked, and by customer', async () => {
  await using console = await openErase();
  const { post, uids, orders, store } = console;
  const chosen = [uids[0] as string, 'not-stored-yet', uids[0] as string];
  const found = await (await post({ uids: chosen, dryRun: true })).json();
  expect(found).toMatchObject({ count: 2, stored: 1 });
  expect(await (await post({ uids: chosen, count: 2 })).json()).toEqual({ erased: 1, marked: 1 });
  expect(await store.findErased(['not-stored-yet'])).toEqual(new Set(['not-stored-yet']));
  const customer_id = (orders[4] as Order).customer_id;
  expect(await (await post({ customer_id, count: 1 })).json()).toEqual({ erased: 1, marked: 0 });
  expect(await console.stored()).toEqual(uids.slice(1, 4).toSorted());
});

test('a customer is found exactly; spaces around what was typed are left out only if nothing is found with them', async () => {
  await using console = await openErase();
  const { post, submit, store } = console;
  const make = createOrderMaker({ seed: 12 });
  const [spaced, plain] = [' spaced ', 'plain'].map((customer_id) => ({ ...make(), customer_id }));
  await store.save([spaced as Order, { ...make(), customer_id: 'spaced' }, plain as Order]);
  const found = async (customer_id: string) =>
    (await (await post({ customer_id, dryRun: true })).json()).uids;
  expect(await found(' spaced ')).toEqual([spaced?.order_uid]);
  expect(await found(' plain ')).toEqual([]);
  const typed = await submit({ by: 'customer', which: ' plain \r\n', do: 'find' });
  expect(typed.html).toContain(plain?.order_uid as string);
  expect(fieldsOf(typed.html)).toMatchObject({ which: 'plain' });
  const exact = await submit({ by: 'customer', which: ' spaced ', do: 'find' });
  expect(fieldsOf(exact.html)).toMatchObject({ which: ' spaced ' });
  expect((await submit({ ...fieldsOf(exact.html), count: '1', do: 'erase' })).status).toBe(200);
  expect([(await found(' spaced ')).length, (await found('spaced')).length]).toEqual([0, 1]);
});

test('a set that has changed is refused, also where as many orders match', async () => {
  await using console = await openErase();
  const { post, uids, orders, sql, store } = console;
  const { set } = await (await post({ phone, dryRun: true })).json();
  await createErasures(sql).erase([uids[0] as string]);
  const other = { ...(orders[0] as Order), order_uid: 'another-order-of-hers' };
  await store.save([other]);
  expect((await post({ phone, count: 3, set })).status).toBe(409);
  expect((await console.stored()).length).toBe(5);
});

test.each([
  ['', 'The body is not JSON.'],
  ['{}', 'The body needs one of these: "uids", "phone", "email", "customer_id".'],
  [{ phone, email, dryRun: true }, 'The body needs one of these: "uids", "phone", "email", "customer_id".'],
  [
    { phone: '123', dryRun: true },
    'phone is not allowed; allowed: a phone number with + and 5 to 15 digits, such as "+7 900 000-00-00".',
  ],
  [
    { uids: ['ten emoji 👍', `${'x'.repeat(51)}`], dryRun: true },
    'uids is not allowed; allowed: 1 to 1000 order numbers, each of 10 to 50 characters.',
  ],
  [
    { uids: [], dryRun: true },
    'The body is wrong at /uids: Expected array length to be greater or equal to 1.',
  ],
  [{ phone, count: -1 }, 'The body is wrong at /count: Expected integer to be greater or equal to 0.'],
  [
    { phone, all: true },
    'The body is wrong at /all: Unexpected property; allowed: uids, phone, email, customer_id, dryRun, count, set.',
  ],
])('the body %j is refused', async (body, detail) => {
  await using console = await openErase();
  const response = await console.post(body);
  expect([response.status, (await response.json()).detail]).toEqual([400, detail]);
  expect((await console.stored()).length).toBe(5);
});

test('a page of another origin erases nothing, and neither does someone without a token', async () => {
  await using console = await openErase();
  const login = await console.ask('/console/login', {
    method: 'POST',
    headers: { origin: 'http://localhost' },
    body: new URLSearchParams({ token: anna.token }),
  });
  const cookie = cookieOf(login);
  const send = (headers: Record<string, string>, path = '/console/api/erase') =>
    console.ask(path, { method: 'POST', headers, body: JSON.stringify({ phone, count: 3 }) });
  const evil = { origin: 'https://evil.example' };
  const statuses = [
    await send({ cookie, ...evil }),
    await send({ cookie, 'sec-fetch-site': 'cross-site' }),
    await send({ cookie, ...evil }, '/console/erase'),
    await send({}),
    await send({ authorization: 'Bearer nobody-has-this-token' }),
  ].map(({ status }) => status);
  expect(statuses).toEqual([403, 403, 403, 401, 401]);
  expect((await console.stored()).length).toBe(5);
  expect((await send({ cookie, origin: 'http://localhost' })).status).toBe(200);
  expect((await console.stored()).length).toBe(2);
});

test('the page finds orders, and erases them once their number is typed, without JavaScript', async () => {
  await using console = await openErase();
  const { uids, submit } = console;
  const empty = await (await console.get('/console/erase', { cookie: 'lang=en' })).text();
  expect(empty).toContain('<h1>Erase orders</h1>');
  expect(empty).not.toContain('name="count"');

  const found = await submit({ by: 'phone', which: ` ${phone}\r\n`, do: 'find' });
  expect(found.status).toBe(200);
  expect(found.html).toContain('3 orders are stored and would be erased');
  for (const uid of uids.slice(0, 3)) expect(found.html).toContain(`<bdi class="code">${uid}</bdi>`);
  expect(found.html).toContain('type how many these are: 3');
  const fields = fieldsOf(found.html);
  expect(Object.keys(fields)).toEqual(['by', 'which', 'set']);

  for (const count of ['', '2', 'three', '33']) {
    const refused = await submit({ ...fields, count, do: 'erase' });
    expect([refused.status, refused.html.includes('Nothing was erased: the count that was typed')]).toEqual([
      400,
      true,
    ]);
    expect(refused.html).toContain('name="count"');
  }
  expect((await console.stored()).length).toBe(5);
  const done = await submit({ ...fields, count: ' 3 ', do: 'erase' });
  expect([done.status, done.html.includes('3 orders erased.')]).toEqual([200, true]);
  expect(done.html).not.toContain(phone);
  expect(await console.stored()).toEqual(uids.slice(3).toSorted());

  // The form is sent again, as by the reload of the page.
  const again = await submit({ ...fields, count: '3', do: 'erase' });
  expect([again.status, again.html.includes('Nothing was erased: the orders are not those')]).toEqual([
    409,
    true,
  ]);
  expect(again.html).toContain('No stored order has this.');
  expect(JSON.stringify(console.lines)).not.toMatch(/9001234567|Ann|order_uid/);
  for (const uid of uids) expect(JSON.stringify(console.lines)).not.toContain(uid);
});

test('the page is in Russian, too, and shows what was typed as text', async () => {
  await using console = await openErase();
  const { uids, submit } = console;
  const russian = { cookie: 'lang=ru' };
  const which = `${uids[0]}\n${uids[1]}\nне сохранённый номер`;
  const found = await submit({ by: 'uids', which, do: 'find' }, russian);
  expect(found.html).toContain('2 заказа сохранены и будут стёрты');
  expect(found.html).toContain('1 номер не сохранён и будет только отмечен.');
  const done = await submit({ ...fieldsOf(found.html), count: '3', do: 'erase' }, russian);
  expect(done.html).toContain('Стёрто 2 заказа.');
  expect(done.html).toContain('Отмечен 1 номер');
  const hostile = '<script>alert(1)</script>"';
  const refused = await submit({ by: 'phone', which: hostile, do: 'find' });
  expect(refused.status).toBe(400);
  expect(refused.html).toContain('phone is not allowed; allowed: a phone number');
  expect(refused.html).not.toContain('<script>alert');
});

test('the orders page leads to it', async () => {
  await using console = await openErase();
  expect(await (await console.get('/console/orders')).text()).toContain('<a href="./erase">');
});

const failing =
  (error: object, after = 0) =>
  (erasures: Erasures): Erasures => ({
    ...erasures,
    erase: (uids) =>
      after-- > 0 ? erasures.erase(uids) : Promise.reject(Object.assign(new Error('no'), error)),
  });

test.each([
  [{ code: '55P03' }, 'PostgreSQL is storing orders'],
  [{ code: '42501' }, 'The role of this program in PostgreSQL may not erase orders'],
  [{ code: 'ECONNREFUSED' }, 'The database does not answer'],
])('an erasure that fails with %j says why, in the API and on the page', async (error, text) => {
  await using console = await openErase(failing(error));
  const response = await console.post({ phone, count: 3 });
  expect([response.status, (await response.json()).detail]).toEqual([503, expect.stringContaining(text)]);
  const found = await console.submit({ by: 'phone', which: phone, do: 'find' });
  const page = await console.submit({ ...fieldsOf(found.html), count: '3', do: 'erase' });
  expect([page.status, page.html.includes(text)]).toEqual([503, true]);
  expect((await console.stored()).length).toBe(5);
});

test('an erasure that stops half-way says how many orders are gone, and how to repeat it for the others', async () => {
  let allowed = 0;
  await using console = await openErase((erasures) => ({
    ...erasures,
    erase: (uids) =>
      allowed-- > 0
        ? erasures.erase(uids)
        : Promise.reject(Object.assign(new Error('no'), { code: 'ECONNRESET' })),
  }));
  const make = createOrderMaker({ seed: 11 });
  const many = Array.from({ length: 600 }, () => ({ ...make(), customer_id: 'many' }));
  await console.store.save(many);
  const counted = async (sql: Sql) => (await sql`select from orders where customer_id = 'many'`).length;
  /** Sends what stops after the first transaction; then what the answer says. */
  const stopped = async (body: object) => {
    allowed = 1;
    const response = await console.post(body);
    const { detail } = await response.json();
    const said =
      /^500 orders are erased, 100 are left: repeat the request with "count": (\d+), "set": "(\w+)"\. The database/;
    const [, count, set] = said.exec(detail) ?? [detail];
    expect([response.status, set]).toEqual([503, expect.stringMatching(/^[0-9a-f]{32}$/)]);
    allowed = Number.POSITIVE_INFINITY;
    return { ...body, count: Number(count), set };
  };
  const others = await stopped({ customer_id: 'many', count: 600 });
  expect(console.audits().at(-1)).toMatchObject({ state: 'failed', erased: 500 });
  expect([others.count, await counted(console.sql)]).toEqual([100, 100]);
  expect(await (await console.post(others)).json()).toEqual({ erased: 100, marked: 0 });
  expect(await counted(console.sql)).toBe(0);

  const named = Array.from({ length: 600 }, () => ({ ...make(), customer_id: 'many' }));
  await console.store.save(named);
  const all = await stopped({ uids: named.map(({ order_uid }) => order_uid), count: 600 });
  expect([all.count, await counted(console.sql)]).toEqual([600, 100]);
  expect(await (await console.post(all)).json()).toEqual({ erased: 100, marked: 500 });
});

test('more orders than a request has time for are refused, and no more than needed are read', async () => {
  const read: number[] = [];
  await using console = await openErase((erasures) => ({
    ...erasures,
    async findBy(...given) {
      const uids = await erasures.findBy(...given);
      read.push(uids.length);
      return uids;
    },
  }));
  await console.sql`
    insert into orders (order_uid, track_number, entry, locale, internal_signature, customer_id, delivery_service, shardkey, sm_id,
      date_created, oof_shard)
    select 'one-of-many-' || n, track_number, entry, locale, internal_signature, 'many', delivery_service, shardkey, sm_id,
      date_created, oof_shard
    from (select * from orders limit 1) one, generate_series(1, 10500) n`;
  const response = await console.post({ customer_id: 'many', dryRun: true });
  expect([response.status, (await response.json()).detail]).toEqual([
    400,
    'More than 10000 orders match: use `bun run orders erase`.',
  ]);
  const page = await console.submit({ by: 'customer', which: 'many', do: 'find' });
  expect([page.status, page.html.includes('More than 10,000 orders have this.')]).toEqual([400, true]);
  expect(read).toEqual([10_001, 10_001]);
  expect((await createErasures(console.sql).findBy('customer', 'many')).length).toBe(10_500);
});
