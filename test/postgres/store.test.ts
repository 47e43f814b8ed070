import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import type postgres from 'postgres';
import { orderRules } from '../../src/config/order-rules.ts';
import { readConfig } from '../../src/config/read-config.ts';
import type { Order } from '../../src/order/order.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { isDataError } from '../../src/postgres/errors.ts';
import { otherCasesParameters, otherCasesStatement } from '../../src/postgres/letter-case.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { anyOrder } from '../support/any-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { toOrder } from '../support/order-parser.ts';

setDefaultTimeout(180_000);
const isWhole = async (sql: postgres.Sql) => {
  const half = await sql`
    select order_uid from orders o
    where not exists (select from deliveries d where d.order_uid = o.order_uid)
       or not exists (select from payments p where p.order_uid = o.order_uid)
       or not exists (select from items i where i.order_uid = o.order_uid)`;
  return half.length === 0;
};

test('any order is read as exactly the text that JSON.stringify makes of it', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(anyOrder, { selector: (order) => order.order_uid, minLength: 1, maxLength: 20 }),
      async (orders) => {
        await database.sql`truncate orders cascade`;
        expect(await store.save(orders)).toEqual(new Set(orders.map((order) => order.order_uid)));
        for (const order of orders) expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
        const all = await store.findAll(orders.map((order) => order.order_uid));
        expect(all).toEqual(new Map(orders.map((order) => [order.order_uid, JSON.stringify(order)])));
        expect(await store.newest(orders.length + 1)).toEqual(
          orders.map((order) => order.order_uid).reverse(),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test('the first and last dates come back to the microsecond', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const dates = [
    '1970-01-01T00:00:00Z',
    '1970-01-01T00:00:00.000001Z',
    '2000-02-29T00:00:00.1Z',
    '2016-12-31T23:59:60Z',
    '2024-06-01T10:20:30.000001Z',
    '2024-06-01T10:20:30.10001Z',
    '2024-06-01T10:20:00Z',
  ];
  for (const [index, date_created] of dates.entries()) {
    const parsed = toOrder(buildOrder({ order_uid: `uid-of-order-${index}`, date_created }));
    if (!('order' in parsed)) throw new Error(parsed.reason);
    await store.save([parsed.order]);
    expect(await store.find(parsed.order.order_uid)).toBe(JSON.stringify(parsed.order));
  }
});

test('a batch returns the orders that it inserted, whether its offset has moved or not', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const group = { groupId: 'g', topic: 't' };
  const [first, second, third] = ['a', 'b', 'c'].map(
    (digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`,
  );
  await createOffsets(database.sql).claim(group, [0], `${first}`);
  await database.sql`update consumed_offsets set next_offset = 0`;
  const save = async (uids: string[], [from, to]: [bigint, bigint], claims: unknown[]) => {
    const [claim, nextClaim] = claims.map(String) as [string, string];
    const range = { ...group, partition: 0, leaderEpoch: undefined, from, to, claim, nextClaim };
    const orders = uids.map((order_uid) => buildOrder({ order_uid }));
    const [saved] = await store.saveBatches([{ orders, range, isWhole: true }]);
    return saved;
  };
  const [a, b, c] = ['uid-of-a', 'uid-of-b', 'uid-of-c'].map((uid) => uid.padEnd(10, '.')) as [
    string,
    string,
    string,
  ];
  expect(await save([a, b], [0n, 2n], [first, second])).toEqual({ inserted: new Set([a, b]), isMoved: true });
  expect(await save([a, c], [2n, 4n], [second, third])).toEqual({ inserted: new Set([c]), isMoved: false });
  expect(await save([a], [2n, 4n], [third, first])).toEqual({ inserted: new Set(), isMoved: false });
  expect(await save([b], [2n, 4n], [second, third])).toBeUndefined();
});

test('after its first executions a statement is not planned anew, however small the batches are', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql } = database;
  const store = createStore(sql);
  const [make, group, executions] = [createOrderMaker({ seed: 3 }), { groupId: 'g', topic: 't' }, 20];
  const claim = crypto.randomUUID();
  await createOffsets(sql).claim(group, [0], claim);
  await sql`update consumed_offsets set next_offset = 0`;
  for (let offset = 0n; offset < executions; offset++) {
    await store.save([make()]);
    const offsets = { from: offset, to: offset + 1n };
    const range = { ...group, partition: 0, leaderEpoch: 0, ...offsets, claim, nextClaim: claim };
    await store.saveBatches([{ orders: [make()], range, isWhole: true }]);
  }
  const planned = await sql`
    select custom_plans::int, generic_plans::int from pg_prepared_statements where cardinality(parameter_types) > 30`;
  // PostgreSQL compares the first five with a plan for any number of orders.
  expect(planned.map((row) => ({ ...row }))).toEqual([
    { custom_plans: 5, generic_plans: 2 * executions - 5 },
  ]);
});

test('an order at the upper limit of every field is stored', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const face = (count: number) => '😀'.repeat(count);
  const most = Number.MAX_SAFE_INTEGER;
  const first = buildOrder().items[0] as Order['items'][number];
  const item = {
    ...first,
    chrt_id: most,
    price: most,
    rid: face(50),
    name: face(100),
    sale: 100,
    size: face(10),
    total_price: most,
    nm_id: most,
    brand: face(100),
    status: most,
    track_number: 'A'.repeat(20),
  };
  const order = {
    ...buildOrder(),
    order_uid: face(50),
    track_number: 'A'.repeat(20),
    entry: face(10),
    internal_signature: face(50),
    customer_id: face(50),
    delivery_service: face(50),
    shardkey: face(10),
    oof_shard: face(10),
    sm_id: most,
    delivery: {
      name: face(100),
      phone: `+${'1'.repeat(15)}`,
      zip: face(20),
      city: face(100),
      address: face(200),
      region: face(100),
      email: `${'a'.repeat(88)}@example.com`,
    },
    payment: {
      ...buildOrder().payment,
      transaction: face(50),
      request_id: face(50),
      bank: face(50),
      amount: most,
      payment_dt: most,
      delivery_cost: most,
      goods_total: most,
      custom_fee: most,
      provider: 'googlepay' as const,
    },
    items: Array.from({ length: 1000 }, (_, n) => ({ ...item, price: n + 1 })),
  };
  const parsed = toOrder(order);
  if (!('order' in parsed)) throw new Error(parsed.reason);
  await store.save([parsed.order]);
  expect(await store.find(order.order_uid)).toBe(JSON.stringify(parsed.order));
});

test('the longest values that the configuration may allow fit their columns', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const rules = readConfig({
    ORDER_CURRENCIES: 'C'.repeat(10),
    ORDER_PROVIDERS: 'p'.repeat(50),
    ORDER_LOCALES: 'l'.repeat(20),
    TRACK_PATTERN: '^.+$',
    ORDER_FREE_ITEMS: 'true',
  });
  const track_number = '😀'.repeat(50);
  const order = buildOrder({
    track_number,
    locale: 'l'.repeat(20),
    payment: { currency: 'C'.repeat(10), provider: 'p'.repeat(50), amount: 0, goods_total: 0 },
    items: [{ track_number, price: 0, total_price: 0 }],
  });
  const parsed = createOrderParser(orderRules(rules)).toOrder(order);
  expect(parsed).toEqual({ order });
  await store.save([order]);
  expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
});

test('saving an order again changes nothing, and of two versions the first stays', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const order = buildOrder();
  const rows = () => database.sql`
    select (select count(*) from orders) as orders, (select count(*) from deliveries) as deliveries,
      (select count(*) from payments) as payments, (select count(*) from items) as items,
      (select max(xmin::text::bigint) from orders) as version`;
  expect(await store.save([order])).toEqual(new Set([order.order_uid]));
  const before = await rows();
  expect(await store.save([order])).toEqual(new Set());
  const other = buildOrder({ sm_id: order.sm_id + 1, items: [{}, {}, {}, {}, {}, {}, {}] });
  const fresh = buildOrder({ order_uid: 'a-fresh-order' });
  expect(await store.save([other, fresh])).toEqual(new Set(['a-fresh-order']));
  expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
  expect((await rows())[0]?.orders).toBe('2');
  expect(Number((await rows())[0]?.items) - Number(before[0]?.items)).toBe(fresh.items.length);
});

test('an order that is not stored is not found', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  await store.save([buildOrder({ order_uid: 'Straße-über-1' })]);
  for (const uid of [
    'no-such-order',
    'STRASSE-ÜBER-1',
    'Straße-über-1 ',
    '',
    "' or true --",
    'Strasse-über-1',
  ])
    expect(await store.find(uid)).toBeUndefined();
  expect(await store.find('Straße-über-1')).toBeDefined();
  expect((await store.findAll([])).size).toBe(0);
  expect(await store.save([])).toEqual(new Set());
  expect(await store.newest(0)).toEqual([]);
});

test('a number in any letter case leads to the orders that have it, two at most', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const stored = [
    'b563feb7b2b84b6test',
    'MixedCaseOrder-1',
    'twin-order-1',
    'Twin-Order-1',
    'TWIN-ORDER-1',
    'twin-order-10',
    'Straße-Über-1',
    'заказ-№-17',
    `${'x'.repeat(49)}Z`,
    '\u{1F69A}-truck-ABC\u{10FFFF}d',
  ];
  await store.save(stored.map((order_uid) => buildOrder({ order_uid })));
  const cases: Record<string, string[]> = {
    B563FEB7B2B84B6TEST: ['b563feb7b2b84b6test'],
    mIXEDcASEoRDER_1: [],
    'mIXEDcASEoRDER-1': ['MixedCaseOrder-1'],
    'MixedCaseOrder-1': ['MixedCaseOrder-1'],
    'MixedCaseOrder-': [],
    'MixedCaseOrder-12': [],
    'STRAßE-üBER-1': ['Straße-Über-1'],
    'STRASSE-ÜBER-1': [],
    'ЗАКАЗ-№-17': ['заказ-№-17'],
    [`${'X'.repeat(49)}z`]: [`${'x'.repeat(49)}Z`],
    '\u{1F69A}-TRUCK-abc\u{10FFFF}D': ['\u{1F69A}-truck-ABC\u{10FFFF}d'],
    "' or true --": [],
    '%_________': [],
  };
  expect(await store.findOtherCases(Object.keys(cases))).toEqual(Object.values(cases));
  expect((await store.findOtherCases(['TWIN-order-1']))[0]).toHaveLength(2);
  expect(await store.findOtherCases([])).toEqual([]);
});

test('many orders that differ by letter case are not all followed, and a number like them finds none', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const alike = Array.from({ length: 1_024 }, (_, index) =>
    Array.from('abcdefghij', (letter, place) => ((index >> place) & 1 ? letter.toUpperCase() : letter)).join(
      '',
    ),
  );
  await store.save([...alike, 'another-Order'].map((order_uid) => buildOrder({ order_uid })));
  const found = await store.findOtherCases(['ABCDEFGHIJ', 'ANOTHER-order']);
  expect(found).toEqual([[], ['another-Order']]);
});

test('other letter cases are found by the primary key alone', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  await sql`set enable_seqscan = off`;
  const [lower, upper] = otherCasesParameters(['MixedCaseOrder-1']);
  const plan = await sql.unsafe<{ 'QUERY PLAN': string }[]>(
    `explain (costs off) ${otherCasesStatement.replace('$1', `array['${lower}']`).replace('$2', `array['${upper}']`)}`,
  );
  const scans = plan.map((row) => row['QUERY PLAN']).filter((line) => line.includes(' on orders'));
  expect(scans).toHaveLength(2);
  for (const scan of scans) expect(scan).toContain('Index Only Scan using orders_pkey');
  expect(plan.filter((row) => row['QUERY PLAN'].includes('Index Cond'))).toHaveLength(2);
});

test('a save that PostgreSQL refuses for one order stores none of the others', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const orders = Array.from({ length: 5 }, createOrderMaker({ seed: 8 }));
  const broken = {
    ...(orders[3] as Order),
    delivery: { ...(orders[3] as Order).delivery, city: 'x'.repeat(101) },
  };
  const error = await store.save([...orders.slice(0, 3), broken, ...orders.slice(4)]).catch((error) => error);
  expect(isDataError(error)).toBe(true);
  expect(await store.newest(10)).toEqual([]);
});

test('two connections that save the same orders agree on one version of each, and half an order is never seen', async () => {
  await using database = await testDatabase({ connections: 8 });
  const store = createStore(database.sql);
  const make = createOrderMaker({ seed: 12 });
  for (let round = 0; round < 10; round++) {
    const orders = Array.from({ length: 100 }, make);
    const others = orders.map((order) => ({
      ...order,
      sm_id: order.sm_id + 1000,
      items: order.items.slice(0, 1),
    }));
    let over = false;
    const reading = (async () => {
      while (!over) expect(await isWhole(database.sql)).toBe(true);
    })();
    // Both in the same order of rows: another one can deadlock, and only ingest tries again then.
    const saved = await Promise.all([orders, others, orders].map((version) => store.save(version)));
    over = true;
    await reading;
    const documents = await store.findAll(orders.map((order) => order.order_uid));
    for (const [index, order] of orders.entries()) {
      const winners = saved.map((fresh) => fresh.has(order.order_uid));
      expect(winners.filter(Boolean)).toHaveLength(1);
      const expected = winners[1] ? others[index] : order;
      expect(documents.get(order.order_uid)).toBe(JSON.stringify(expected));
    }
  }
});

test('the newest orders are read by a scan of an index in the order of insertion, at any number of orders', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const store = createStore(sql);
  const { order_uid: first } = buildOrder();
  await store.save([buildOrder()]);
  const columns = await sql<{ name: string }[]>`
    select column_name as name from information_schema.columns
    where table_name = 'orders' and column_name not in ('id', 'order_uid')`;
  const copied = columns.map(({ name }) => name).join(', ');
  await sql.unsafe(
    `insert into orders (order_uid, ${copied})
    select 'order-' || n, ${copied} from orders, generate_series(1, 20000) n where order_uid = $1 order by n`,
    [first],
  );
  const uids = Array.from({ length: 20_000 }, (_, index) => `order-${index + 1}`);
  await sql`analyze`;
  expect(await store.newest(1000)).toEqual(uids.slice(-1000).reverse());
  const plan = JSON.stringify(
    await sql`explain (format json) select order_uid from orders order by id desc limit 1000`,
  );
  expect(plan).toContain('"Index Scan"');
  expect(plan).toContain('Backward');
  expect(plan).not.toContain('Seq Scan');
  expect(plan).not.toContain('"Sort"');
});

test('items are found by their index, and every part of an order belongs to an order', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const [index] = await sql`select indexdef from pg_indexes where indexname = 'idx_items_order_uid'`;
  expect(index?.indexdef).toMatch(/ ON public\.items USING btree \(order_uid\)$/);
  const keys = await sql`
    select conrelid::regclass::text as part, pg_get_constraintdef(oid) as definition
    from pg_constraint where contype = 'f' order by 1`;
  expect(keys.map(({ part }) => part)).toEqual(['deliveries', 'items', 'payments']);
  for (const { definition } of keys)
    expect(definition).toStartWith('FOREIGN KEY (order_uid) REFERENCES orders(order_uid)');
  for (const part of ['deliveries', 'payments', 'items'])
    await expect(
      sql`insert into ${sql(part)} (order_uid) values ('an-order-unknown')`.then(() => {}),
    ).rejects.toThrow();
});

test('data errors are distinguished from errors of the server', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql } = database;
  const store = createStore(sql);
  const failing = async (make: string, undo: string) => {
    await sql.unsafe(make);
    const error = await store.save([buildOrder()]).catch((error) => error);
    await sql.unsafe(undo);
    expect(error).toBeInstanceOf(Error);
    return isDataError(error);
  };
  const check = 'alter table orders drop constraint c';
  expect(await failing('alter table orders add constraint c check (sm_id < 0) not valid', check)).toBe(true);
  const raise = (code: string) =>
    `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no' ${code}; end $$;
     create trigger t before insert on items for each row execute function refuse()`;
  const drop = 'drop trigger t on items; drop function refuse()';
  expect(await failing(raise(''), drop)).toBe(true);
  expect(await failing(raise(`using errcode = 'check_violation'`), drop)).toBe(true);
  expect(await failing(raise(`using errcode = 'disk_full'`), drop)).toBe(false);
  expect(await failing(raise(`using errcode = 'deadlock_detected'`), drop)).toBe(false);
  expect(await failing('alter table items rename to things', 'alter table things rename to items')).toBe(
    false,
  );
  expect(
    await failing('set default_transaction_read_only = on', 'set default_transaction_read_only = off'),
  ).toBe(false);
  // A sequence behind its table, as after a dump that was loaded by hand: every order would be rejected.
  await store.save([buildOrder()]);
  await sql`truncate deliveries, payments, items`;
  await sql`select setval(pg_get_serial_sequence('orders', 'id'), max(id), false) from orders`;
  const error = await store.save([buildOrder({ order_uid: 'another-order' })]).catch((error) => error);
  expect(error).toBeInstanceOf(Error);
  expect(isDataError(error)).toBe(false);
  for (const nothing of [undefined, null, new Error('x'), { code: 22001 }, { code: 'ECONNREFUSED' }])
    expect(isDataError(nothing)).toBe(false);
});

test('without a server a query rejects at once, and not with a data error', async () => {
  const sql = openDatabase({ url: 'postgres://x:y@127.0.0.1:1/none', connections: 1, name: 'test' });
  const error = await createStore(sql)
    .ping()
    .catch((error) => error);
  expect(isDataError(error)).toBe(false);
  expect(error).toBeInstanceOf(Error);
  await sql.end({ timeout: 1 });
});

test('when a server dies while a connection is opened only the query rejects', async () => {
  const accepted = Buffer.from('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1');
  const greeted = new WeakSet();
  using server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      data(socket) {
        if (greeted.has(socket)) return void socket.end();
        greeted.add(socket);
        socket.write(accepted);
      },
    },
  });
  const sql = openDatabase({
    url: `postgres://x:y@127.0.0.1:${server.port}/none`,
    connections: 1,
    name: 'test',
  });
  await expect(createStore(sql).find('some-order')).rejects.toThrow();
  await sql.end({ timeout: 1 });
});
