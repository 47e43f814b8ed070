/** A pool of connections, when PostgreSQL fails or is replaced by another server. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { startProxy } from '../support/tcp-proxy.ts';

setDefaultTimeout(60_000);

const failureOf = (promise: PromiseLike<unknown>): Promise<{ code?: string }> =>
  Promise.resolve(promise).then(
    () => {
      throw new Error('it did not fail');
    },
    (error) => error,
  );

/** Accepts connections, and closes each one cleanly when it receives something. */
const startClosingServer = () => {
  let connections = 0;
  const server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open: () => void connections++,
      data: (socket) => void socket.end(),
    },
  });
  return {
    url: `postgres://x:y@127.0.0.1:${server.port}/none`,
    connections: () => connections,
    [Symbol.dispose]: () => server.stop(true),
  };
};

test('when a server closes connections cleanly each query fails, and reconnects have a backoff', async () => {
  using server = startClosingServer();
  const sql = openDatabase({ url: server.url, connections: 10, name: 'test' });
  const begun = performance.now();
  let failed = 0;
  const error = await failureOf(sql`select 1`);
  expect(error).toMatchObject({ code: 'CONNECTION_CLOSED' });
  expect(reasonOf(error)).toBe('connection closed (CONNECTION_CLOSED)');
  const queries = Array.from({ length: 25 }, () => failureOf(sql`select 1`).then(() => failed++));
  await until(() => performance.now() - begun > 2_000);
  // Ten connections, each at first after 0.1 s, then after 0.2, 0.4, 0.8 and 1 s.
  expect(server.connections()).toBeWithin(10, 60);
  await Promise.all(queries);
  const connections = server.connections();
  expect(failed).toBe(25);
  const answered = performance.now();
  await until(() => performance.now() - answered > 500);
  expect(server.connections()).toBe(connections);
  await sql.end({ timeout: 1 });
});

test('orders are stored after a column has changed its type, and after prepared statements are gone', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql } = database;
  const store = createStore(sql);
  const save = async (order_uid: string) => {
    expect(await store.save([buildOrder({ order_uid })])).toEqual(new Set([order_uid]));
    expect(await store.findAll([order_uid])).toHaveProperty('size', 1);
  };
  const prepared = async () => {
    const [row] = await sql.unsafe<{ count: number }[]>(
      'select count(*)::int as count from pg_prepared_statements',
    );
    return row?.count;
  };
  await save('order-before');
  await sql.unsafe('alter table orders alter column order_uid type varchar(60)');
  await save('order-after-a-new-type');
  expect(await prepared()).toBeGreaterThan(0);
  // As when a pooler switches to another server.
  await sql.unsafe('deallocate all');
  await save('order-after-a-pooler');
  await save('order-without-statements');
  expect(await prepared()).toBe(0);
});

const waiting = async (sql: ReturnType<typeof openDatabase>, name: string) => {
  const rows = await sql`
    select pid from pg_stat_activity where application_name = ${`order-lookup ${name}`} and wait_event_type = 'Lock'`;
  return rows.length;
};

test('a query that times out frees its backend, although its table stays locked', async () => {
  await using database = await testDatabase({ connections: 2 });
  const connections = 4;
  const sql = openDatabase({ url: database.url, connections, name: 'locked', silenceTimeoutSeconds: 1 });
  const store = createStore(sql);
  const mostWaiting: number[] = [];
  await database.sql.begin(async (tx) => {
    await tx`lock table orders`;
    let failed = 0;
    const lookups = Array.from({ length: 20 }, async () => {
      expect(await failureOf(store.find('some-order'))).toMatchObject({ code: 'ANSWER_TIMEOUT' });
      failed++;
    });
    await until(async () => {
      mostWaiting.push(await waiting(database.sql, 'locked'));
      return failed === lookups.length;
    });
    await Promise.all(lookups);
    await until(async () => (await waiting(database.sql, 'locked')) === 0);
  });
  expect(Math.max(...mostWaiting)).toBe(connections);
  // On a busy machine an answer takes longer than this short timeout now and then.
  await until(() =>
    store.find('some-order').then(
      (order) => order === undefined,
      () => false,
    ),
  );
  await sql.end({ timeout: 1 });
});

test('a query that the server ends as it shuts down says so', async () => {
  await using database = await testDatabase({ connections: 2 });
  const { sql } = database;
  const error = failureOf(sql`select pg_sleep(60)`);
  await until(
    async () =>
      (
        await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()`
      ).length > 0,
  );
  // The code by which a server that shuts down ends its connections.
  expect(reasonOf(await error)).toBe('starting up or shutting down (57P01)');
});

test('a text that names a time-out, in an error of PostgreSQL, is none', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  await sql.unsafe(`alter table orders add check (customer_id <> 'statement_timeout')`);
  const refused = createStore(sql).save([buildOrder({ customer_id: 'statement_timeout' })]);
  expect(reasonOf(await failureOf(refused))).toBe('unexpected error (23514)');
  const named = sql.unsafe(`select 'canceling statement due to statement_timeout'::int`);
  expect(reasonOf(await failureOf(named))).toBe('unexpected error (22P02)');
});

test('closing a pool cancels its queries', async () => {
  await using database = await testDatabase({ connections: 2 });
  const sql = openDatabase({ url: database.url, connections: 2, name: 'closed' });
  await database.sql.begin(async (tx) => {
    await tx`lock table orders`;
    const lookup = failureOf(createStore(sql).find('some-order'));
    await until(async () => (await waiting(database.sql, 'closed')) === 1);
    await sql.end({ timeout: 0.1 });
    expect(await lookup).toMatchObject({ code: 'CONNECTION_DESTROYED' });
    await until(async () => (await waiting(database.sql, 'closed')) === 0);
  });
});

test('a connection that has become read-only is closed, in a transaction too', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql } = database;
  const store = createStore(sql);
  const pid = async () => (await sql`select pg_backend_pid() as pid`)[0]?.pid;
  await sql`set default_transaction_read_only = on`;
  const first = await pid();
  const error = await failureOf(store.save([buildOrder()]));
  expect(error).toMatchObject({ code: '25006' });
  expect(reasonOf(error)).toBe('it is read-only (25006)');
  expect(await pid()).not.toBe(first);
  expect(await store.save([buildOrder()])).toHaveProperty('size', 1);

  await sql`set default_transaction_read_only = on`;
  const second = await pid();
  expect(await failureOf(sql.begin((tx) => tx`delete from orders`))).toMatchObject({ code: '25006' });
  expect(await pid()).not.toBe(second);
  await sql.begin((tx) => tx`delete from orders`);
});

test('after an error that follows some rows the next query on the connection has all its rows and no others', async () => {
  await using database = await testDatabase({ connections: 1 });
  const { sql } = database;
  const store = createStore(sql);
  const order = buildOrder();
  await store.save([order]);
  for (let failed = 0; failed < 3; failed++) {
    const error = await failureOf(sql`select 1 / (3 - n) as row from generate_series(1, 9) as n`);
    expect(error).toMatchObject({ code: '22012' });
    expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }]);
  }
});

test('of several servers the next one is tried after a failure, and the one that answers is remembered', async () => {
  await using database = await testDatabase();
  const { hostname, port, pathname, username, password } = new URL(database.url);
  await using gone = startProxy({ hostname, port: Number(port) });
  await using frozen = startProxy({ hostname, port: Number(port) });
  await using good = startProxy({ hostname, port: Number(port) });
  gone.cut();
  frozen.freeze();
  using closing = startClosingServer();
  const hosts = [gone.port, new URL(closing.url).port, frozen.port, good.port].map(
    (each) => `127.0.0.1:${each}`,
  );
  const url = `postgres://${username}:${password}@${hosts}${pathname}`;
  const sql = openDatabase({ url, connections: 3, name: 'test', silenceTimeoutSeconds: 4 });
  const store = createStore(sql);
  expect(await store.save([buildOrder()])).toHaveProperty('size', 1);
  const begun = performance.now();
  await Promise.all(Array.from({ length: 9 }, () => store.find(buildOrder().order_uid)));
  // None of them waits for the frozen one.
  expect(performance.now() - begun).toBeLessThan(4_000);
  expect(good.connections()).toBe(3);

  good.cut();
  await failureOf(store.find(buildOrder().order_uid));
  const error = await failureOf(store.find(buildOrder().order_uid));
  expect(error).toBeInstanceOf(Error);
  frozen.resume();
  await until(() => store.find(buildOrder().order_uid).catch(() => undefined));
  await sql.end({ timeout: 1 });
});
