import { expect, setDefaultTimeout, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import type { Sql } from 'postgres';
import { withTimeout } from '../../src/async/timeouts.ts';
import type { Order } from '../../src/order/order.ts';
import { createErasures } from '../../src/postgres/erasures.ts';
import { createOffsets, type FencedRange } from '../../src/postgres/offsets.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { hold } from '../support/hold.ts';
import { isWaiting } from '../support/is-waiting.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { runScript } from '../support/run-script.ts';

setDefaultTimeout(90_000);

const ordersOf = (count: number, seed = 1) => Array.from({ length: count }, createOrderMaker({ seed }));
const uidsOf = (orders: readonly Order[]) => orders.map((order) => order.order_uid);

const tables = ['orders', 'deliveries', 'payments', 'items'];
const rowsOf = async (sql: Sql, uid: string) => {
  const counts = tables.map((table) => sql`select from ${sql(table)} where order_uid = ${uid}`);
  return (await Promise.all(counts)).map((rows) => rows.length);
};

/** Stores orders as an offset range of a partition of its own. */
const openRange = async (sql: Sql) => {
  const group = { groupId: 'group', topic: 'orders' };
  const claim = crypto.randomUUID();
  const offsets = createOffsets(sql);
  await offsets.claim(group, [0], claim);
  const begin = {
    partition: 0,
    start: 0n,
    low: 0n,
    isPastSkip: false,
    isNewTopic: false,
    leaderEpoch: undefined,
  };
  await offsets.begin(group, undefined, [begin], claim);
  const range: FencedRange = {
    ...group,
    partition: 0,
    from: 0n,
    to: 9n,
    leaderEpoch: undefined,
    claim,
    nextClaim: crypto.randomUUID(),
  };
  return async (orders: readonly Order[]) => {
    const [saved] = await createStore(sql).saveBatches([{ orders, range, isWhole: true }]);
    return saved;
  };
};

test('an erased order is deleted with all its parts, and only a keyed digest of its uid stays', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const store = createStore(sql);
  const erasures = createErasures(sql);
  const [first, second] = ordersOf(2) as [Order, Order];
  await store.save([first, second]);
  const unknown = 'an order that is not stored';
  expect(await erasures.erase([first.order_uid, unknown])).toBe(1);

  expect(await rowsOf(sql, first.order_uid)).toEqual([0, 0, 0, 0]);
  expect(await store.find(second.order_uid)).toBe(JSON.stringify(second));
  expect(await store.findErased([first.order_uid, second.order_uid, unknown])).toEqual(
    new Set([first.order_uid, unknown]),
  );
  const marks = await sql<{ digest: Uint8Array }[]>`select * from erased_orders order by number`;
  expect(JSON.stringify(marks)).not.toContain(first.order_uid);
  // The pads give the key back: the digest is the HMAC that other programs compute.
  const [pads] = await sql<{ inner_pad: Uint8Array }[]>`select inner_pad from erasure_key`;
  const key = Buffer.from(pads?.inner_pad ?? []).map((byte) => byte ^ 0x36);
  expect(key.subarray(32)).toEqual(Buffer.alloc(32));
  expect(key.subarray(0, 32)).not.toEqual(Buffer.alloc(32));
  const hmacs = [first.order_uid, unknown].map((uid) => createHmac('sha256', key).update(uid).digest('hex'));
  expect(marks.map(({ digest }) => Buffer.from(digest).toString('hex')).sort()).toEqual(hmacs.sort());
});

test('each database has a key of its own', async () => {
  await using one = await testDatabase();
  await using other = await testDatabase();
  const [first] = await one.sql`select * from erasure_key`;
  const [second] = await other.sql`select * from erasure_key`;
  expect(first?.inner_pad).not.toEqual(second?.inner_pad);
});

const isolations = ['read committed', 'repeatable read', 'serializable'];

/** Tries again when PostgreSQL could not serialize the transactions, as ingest does after any error. */
const serialized = <T>(run: () => Promise<T>): Promise<T> =>
  run().catch((error) => {
    if (error.code !== '40001') throw error;
    return run();
  });

test.each(isolations)('an order that is being stored when it is erased is erased: %s', async (isolation) => {
  await using database = await testDatabase({ connections: 6, isolation });
  const { sql } = database;
  const save = await openRange(sql);
  const orders = ordersOf(1);
  // The batch has its snapshot, and waits for the row of its partition.
  const release = await hold(sql, 'select from consumed_offsets for update');
  const saved = save(orders);
  await until(() => isWaiting(sql, 'fence as'));
  const erased = createErasures(sql).erase(uidsOf(orders));
  await Promise.race([erased, until(() => isWaiting(sql, 'lock table'))]);
  await release();
  expect((await saved)?.inserted.size).toBe(1);
  expect(await erased).toBe(1);
  expect(await createStore(sql).findAll(uidsOf(orders))).toEqual(new Map());
});

test.each(isolations)(
  'an order that is stored while it is being erased is not stored: %s',
  async (isolation) => {
    await using database = await testDatabase({ connections: 6, isolation });
    const { sql } = database;
    const save = await openRange(sql);
    const [late, ...stored] = ordersOf(2) as [Order, Order];
    await createStore(sql).save(stored);
    // The erasure waits for a row.
    const release = await hold(sql, 'select from orders for key share');
    const erased = createErasures(sql).erase(uidsOf([late, ...stored]));
    await until(() => isWaiting(sql, 'marked as'));
    const saved = serialized(() => save([late]));
    await Promise.race([saved, until(() => isWaiting(sql, 'fence as'))]);
    await release();
    expect(await erased).toBe(1);
    expect((await saved)?.inserted.size).toBe(0);
    expect(await createStore(sql).find(late.order_uid)).toBeUndefined();
  },
);

test('a message that arrives while its order is being erased counts as erased, also where transactions are repeatable read', async () => {
  await using pipeline = await openPipeline({ isolation: 'repeatable read' });
  const { sql } = pipeline.database;
  const [late, next, ...stored] = ordersOf(3) as [Order, Order, Order];
  await pipeline.store.save(stored);
  const member = pipeline.join();
  await until(() => member.starts.length > 0, 60_000);
  const release = await hold(sql, 'select from orders for key share');
  const erased = createErasures(sql).erase(uidsOf([late, ...stored]));
  await until(() => isWaiting(sql, 'marked as'));
  await pipeline.send([late, next].map((order) => ({ key: 'key', value: JSON.stringify(order) })));
  await until(() => isWaiting(sql, 'fence as'), 60_000);
  await release();
  expect(await erased).toBe(1);
  await pipeline.drained();
  expect(await pipeline.store.newest(9)).toEqual([next.order_uid]);
  expect(member.outcomes.reduce((sum, { erased }) => sum + erased, 0)).toBe(1);
  expect(await pipeline.letters()).toEqual([]);
});

test('lookups are answered while orders are erased', async () => {
  await using database = await testDatabase({ connections: 6 });
  const { sql } = database;
  const store = createStore(sql);
  const orders = ordersOf(2);
  await store.save(orders);
  const release = await hold(sql, 'select from orders for key share');
  const erased = createErasures(sql).erase(uidsOf(orders));
  await until(() => isWaiting(sql, 'marked as'));
  expect((await store.findAll(uidsOf(orders))).size).toBe(2);
  await release();
  expect(await erased).toBe(2);
  expect((await store.findAll(uidsOf(orders))).size).toBe(0);
});

test('a replay and a late message do not bring an erased order back, and have no dead letter', async () => {
  await using pipeline = await openPipeline();
  const { database, store } = pipeline;
  const orders = ordersOf(5);
  const [first, late] = [orders[0] as Order, ordersOf(1, 2)[0] as Order];
  const member = pipeline.join();
  await pipeline.send(orders.map((order) => ({ key: order.order_uid, value: JSON.stringify(order) })));
  await pipeline.drained();
  await createErasures(database.sql).erase(uidsOf([first, late]));

  // Another version of an erased order is no conflict.
  const versions = [late, { ...first, sm_id: first.sm_id + 1 }];
  await pipeline.send(versions.map((order) => ({ key: order.order_uid, value: JSON.stringify(order) })));
  const erased = () => member.outcomes.reduce((sum, { erased }) => sum + erased, 0);
  await until(() => erased() === 2);
  // Everything is read again: the first order, and both messages that came late.
  await pipeline.offsets.rewind(pipeline.group, [{ partition: 0, offset: 0n }]);
  await until(() => erased() === 5);
  await pipeline.drained();
  expect((await store.newest(9)).sort()).toEqual(uidsOf(orders.slice(1)).sort());
  expect(await pipeline.letters()).toEqual([]);
  expect(await pipeline.storedOffsets()).toEqual(new Map([[0, 7]]));
});

const command = (url: string, ...args: string[]) =>
  runScript('scripts/orders.ts', ['erase', ...args], { DATABASE_URL: url });

test('the command says how many orders it has found, and erases them only after a confirmation', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const [one, two, three] = ordersOf(3) as [Order, Order, Order];
  await store.save([one, two, three]);

  const dry = await command(database.url, one.order_uid, 'not-stored', '--dry-run');
  expect(dry).toEqual({
    code: 0,
    output: `1 of 2 orders is stored. The other will be marked, so that no message brings it back.\n${one.order_uid}\nDry run: nothing was erased.\n`,
    errors: '',
  });
  const asked = await command(database.url, one.order_uid);
  expect(asked).toMatchObject({ code: 1, errors: '' });
  expect(asked.output).toBe(
    '1 of 1 order is stored.\nNothing was erased: it was not confirmed. Without a terminal, add --yes.\n',
  );
  expect((await store.newest(9)).length).toBe(3);
  expect(await store.findErased(uidsOf([one]))).toEqual(new Set());

  const done = await command(database.url, one.order_uid, two.order_uid, 'not-stored', '--yes');
  expect(done.output.split('\n')[1]).toBe('2 orders erased, 1 more marked.');
  expect(done.code).toBe(0);
  expect(await store.newest(9)).toEqual([three.order_uid]);
});

test('the command erases all orders of a phone number, an email address or a customer', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const orders = ordersOf(1_100).map((order, index) => ({
    ...order,
    customer_id: index < 1_003 ? 'many' : order.customer_id,
  }));
  const [phoned, mailed] = orders.slice(-2) as [Order, Order];
  phoned.delivery = { ...phoned.delivery, phone: '+79001234567' };
  mailed.delivery = { ...mailed.delivery, email: 'Ann.Smith@Example.org' };
  await store.save(orders);
  expect((await command(database.url, '--phone', '+7 (900) 123-45-67', '--yes')).output).toBe(
    '1 order with this phone number is stored.\n1 order erased.\n',
  );
  expect((await command(database.url, '--email', 'ann.smith@example.org', '--yes')).output).toBe(
    '1 order with this email address is stored.\n1 order erased.\n',
  );
  expect((await command(database.url, '--customer', 'many', '--yes')).output).toBe(
    '1003 orders with this customer_id are stored.\n500 erased so far.\n1000 erased so far.\n1003 orders erased.\n',
  );
  expect((await command(database.url, '--customer', 'many', '--yes')).output).toBe(
    '0 orders with this customer_id are stored.\n',
  );
  expect((await store.newest(2_000)).length).toBe(1_100 - 1_005);
  expect((await store.findErased(uidsOf(orders))).size).toBe(1_005);
});

test.each([
  [['erase'], /erase needs one of these/],
  [['erase', '--phone', '+79001234567', '--email', 'a@b.c'], /erase needs one of these/],
  [['erase', 'short'], /"short" is not an order_uid; allowed: 10 to 50 characters/],
  [['erase', '--phone', '12'], /--phone holds "12"; allowed: a phone number/],
  [['forget'], /"forget" is not a command; there is one: erase/],
])('%j is refused with one line', async (args, message) => {
  const { code, output, errors } = await runScript('scripts/orders.ts', args, {
    DATABASE_URL: 'postgres://127.0.0.1:1/x',
  });
  expect({ code, output }).toEqual({ code: 2, output: '' });
  expect(errors.trimEnd()).toMatch(message);
  expect(errors.trimEnd().split('\n')).toHaveLength(1);
});

test('while a process that erases orders is frozen, orders are stored', async () => {
  await using database = await testDatabase({ connections: 6 });
  const { sql, url } = database;
  const save = await openRange(sql);
  const [late, ...stored] = ordersOf(2) as [Order, Order];
  await createStore(sql).save(stored);
  // The erasure has locked what a batch needs, and waits for the table of its marks.
  const release = await hold(sql, 'lock table erased_orders in access exclusive mode');
  const child = Bun.spawn([process.execPath, 'scripts/orders.ts', 'erase', '--yes', ...uidsOf(stored)], {
    env: { PATH: process.env.PATH ?? '', DATABASE_URL: url },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  try {
    await until(() => isWaiting(sql, 'insert into erased_orders'));
    child.kill('SIGSTOP');
    await release();
    expect((await withTimeout(15_000, save([late])))?.inserted.size).toBe(1);
    child.kill('SIGCONT');
    expect(await new Response(child.stdout).text()).toContain('1 order erased.');
    expect(await new Response(child.stderr).text()).toBe('');
  } finally {
    child.kill('SIGKILL');
  }
  expect(await createStore(sql).newest(9)).toEqual(uidsOf([late]));
});

test('an erasure is never idle in its transaction, and one that fails leaves none open', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql, url } = database;
  const [first] = ordersOf(1) as [Order];
  await createStore(sql).save([first]);
  await sql`alter table erased_orders rename to away`;
  await expect(createErasures(sql).erase(uidsOf([first]))).rejects.toMatchObject({ code: '42P01' });
  expect(await sql`show transaction_isolation`).toMatchObject([{ transaction_isolation: 'read committed' }]);
  expect(await createStore(sql).newest(9)).toEqual(uidsOf([first]));
  await sql`alter table away rename to erased_orders`;
  await sql.unsafe(
    `alter database ${new URL(url).pathname.slice(1)} set idle_in_transaction_session_timeout = '1ms'`,
  );
  expect(await command(url, first.order_uid, '--yes')).toMatchObject({ code: 0, errors: '' });
});

test('an order_uid with quotes, backslashes or letters beyond ASCII is erased, whatever the rules for quotes are', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql } = database;
  const uids = [
    `'); drop table orders; --`,
    `\\' or true or '`,
    '$$ order $$ ?',
    'Заказ № 42 😀',
    '{"order", null}',
  ];
  const kept = ordersOf(1) as [Order];
  const store = createStore(sql);
  const erasures = createErasures(sql);
  for (const setting of ['on', 'off']) {
    await sql.unsafe(`set standard_conforming_strings = ${setting}`);
    const orders = ordersOf(uids.length, 2).map((order, at) => ({
      ...order,
      order_uid: `${uids[at]} ${setting}` as Order['order_uid'],
    }));
    await store.save([...kept, ...orders]);
    expect(await erasures.erase([...uidsOf(orders), ...uidsOf(orders)])).toBe(uids.length);
    expect(await store.newest(9)).toEqual(uidsOf(kept));
    expect(await store.findErased(uidsOf(orders))).toEqual(new Set(uidsOf(orders)));
  }
  expect(await erasures.erase([])).toBe(0);
});

test('a database without the tables is named, and so is one that does not answer', async () => {
  await using database = await testDatabase({ migrated: false });
  const empty = await command(database.url, 'some-order-number', '--yes');
  expect(empty).toMatchObject({ code: 1, output: '' });
  expect(empty.errors).toContain('run `bun run migrate`');
  const away = await command('postgres://127.0.0.1:1/x', 'some-order-number', '--yes');
  expect(away).toMatchObject({ code: 1, output: '' });
  expect(away.errors).toContain('127.0.0.1:1 does not answer');
});
