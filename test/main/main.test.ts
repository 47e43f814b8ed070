import { expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createStore } from '../../src/postgres/store.ts';
import { openWorld, ordersOf } from '../support/isolated-services.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { startProxy } from '../support/tcp-proxy.ts';

// Each starts a process or two, and groups form in seconds.
setDefaultTimeout(240_000);

const statusOf = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
};
const counterOf = async (url: string, name: string) => {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:{[^}]*})? (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
};

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} in the middle of everything: all that is stored is committed, requests are answered, and the next run repeats nothing`, async () => {
    await using world = await openWorld();
    const orders = ordersOf(6_000);
    await using first = startProgram({ ...world.environment, RATE_LIMIT: '0' });
    const url = await first.url();
    await first.said('joined the group', 60_000);
    await world.send(orders.slice(0, 10));
    await until(async () => (await world.stored()) === 10);

    let isOver = false;
    const statuses: number[] = [];
    const load = Promise.all(
      Array.from({ length: 8 }, async () => {
        while (!isOver) {
          const response = await fetch(`${url}/order/${orders[0]?.order_uid}`).catch(() => undefined);
          if (response) statuses.push(response.status);
          else await new Promise(setImmediate);
        }
      }),
    );
    const sending = world.send(orders.slice(10));
    await until(async () => (await world.stored()) > 1_000);
    const { status, took, errors } = await first.stop(signal);
    isOver = true;
    await Promise.all([load, sending]);
    expect([status, errors]).toEqual([0, '']);
    expect(took).toBeLessThan(10_000);
    expect(first.faults()).toEqual([]);
    expect(statuses.length).toBeGreaterThan(10);
    expect(statuses.every((code) => code === 200)).toBe(true);
    expect(await world.committed()).toBe(await world.stored());

    await using second = startProgram(world.environment);
    const again = await second.url();
    await until(async () => (await world.stored()) === orders.length, 60_000);
    await until(async () => (await world.committed()) === orders.length);
    expect(await counterOf(again, 'orders_duplicates_total')).toBe(0);
    const stopped = await second.stop(signal);
    expect([stopped.status, stopped.errors]).toEqual([0, '']);
    expect(second.faults()).toEqual([]);
  });

test('with PostgreSQL and Kafka unavailable at the start, HTTP answers at once, and the program recovers by itself', async () => {
  await using world = await openWorld();
  const proxyOf = ({ hostname, port }: URL) => startProxy({ hostname, port: Number(port) });
  await using postgres = proxyOf(new URL(world.database.url));
  await using kafka = proxyOf(new URL(`kafka://${world.environment.KAFKA_BROKERS.split(',')[0]}`));
  postgres.cut();
  kafka.cut();
  const databaseUrl = Object.assign(new URL(world.database.url), { port: String(postgres.port) });
  databaseUrl.hostname = '127.0.0.1';
  await using program = startProgram({
    ...world.environment,
    DATABASE_URL: databaseUrl.href,
    KAFKA_BROKERS: `127.0.0.1:${kafka.port}`,
  });
  const url = await program.url();
  expect(await statusOf(`${url}/healthz`)).toEqual({ status: 200, body: { status: 'alive' } });
  expect(await statusOf(`${url}/readyz`)).toMatchObject({ status: 503, body: { status: 'unready' } });
  const [order] = ordersOf(1) as [ReturnType<typeof ordersOf>[number]];
  const begun = performance.now();
  const response = await fetch(`${url}/order/${order.order_uid}`);
  expect([response.status, response.headers.has('retry-after')]).toEqual([503, true]);
  expect(performance.now() - begun).toBeLessThan(6_000);

  postgres.resume();
  await until(async () => (await statusOf(`${url}/readyz`)).body.status === 'degraded', 30_000);
  const { parts } = (await statusOf(`${url}/readyz`)).body;
  expect(parts).toMatchObject({
    postgres: { state: 'works' },
    kafka: { state: 'away' },
    redis: { state: 'off' },
  });
  expect(JSON.stringify(parts)).not.toContain(databaseUrl.password || 'postgres:postgres');
  expect((await fetch(`${url}/order/${order.order_uid}`)).status).toBe(404);

  kafka.resume();
  await until(async () => (await statusOf(`${url}/readyz`)).body.status === 'ready', 60_000);
  await world.send([order]);
  await until(async () => (await fetch(`${url}/order/${order.order_uid}`)).status === 200);
  expect((await program.stop('SIGTERM')).status).toBe(0);
  // One line when a service is found to be away, for each half that needs it, and no more.
  expect(program.complaints().length).toBeLessThanOrEqual(4);
});

test('that PostgreSQL is available again is logged when it is, without a lookup that needs it', async () => {
  await using world = await openWorld();
  const { hostname, port } = new URL(world.database.url);
  await using proxy = startProxy({ hostname, port: Number(port) });
  const url = Object.assign(new URL(world.database.url), { hostname: '127.0.0.1', port: String(proxy.port) });
  await using program = startProgram({ ...world.environment, SERVE: 'http', DATABASE_URL: url.href });
  await program.said('the cache is warm', 30_000);
  proxy.cut();
  expect((await fetch(`${await program.url()}/order/no-such-order`)).status).toBe(503);
  await program.said('PostgreSQL is unavailable');
  expect(program.lines().filter(({ msg }) => msg === 'PostgreSQL is available again')).toEqual([]);
  proxy.resume();
  await program.said('PostgreSQL is available again');
  expect((await program.stop('SIGTERM')).status).toBe(0);
});

test('configured rules reach the consumer, the page, the OpenAPI document and the commands', async () => {
  await using world = await openWorld();
  const fields = ['currency-cny', 'track-with-dashes', 'free-gift'];
  const orders = await Promise.all(
    fields.map((name) => Bun.file(join(import.meta.dir, `../order/field/${name}.json`)).json()),
  );
  // Before the rules are widened they are dead letters.
  await using strict = startProgram(world.environment);
  await strict.said('joined the group', 60_000);
  await world.send(orders);
  await until(async () => (await world.committed()) === orders.length, 30_000);
  expect((await strict.stop('SIGTERM')).status).toBe(0);
  expect(await world.stored()).toBe(0);

  const environment = {
    ...world.environment,
    ORDER_CURRENCIES: 'USD,CNY',
    TRACK_PATTERN: '^[A-Z0-9-]{8,20}$',
    ORDER_FREE_ITEMS: 'true',
  };
  const redriven = await startProgram(environment, ['scripts/dead-letters.ts', 'redrive']).ended();
  expect([redriven.status, redriven.errors]).toEqual([0, expect.stringContaining('3 sent')]);
  await using program = startProgram(environment);
  const url = await program.url();
  await until(async () => (await world.stored()) === orders.length, 60_000);
  for (const order of orders) {
    expect(await (await fetch(`${url}/order/${order.order_uid}`)).json()).toEqual(order);
    expect((await fetch(`${url}/?uid=${order.order_uid}`)).status).toBe(200);
  }
  const { components } = await (await fetch(`${url}/swagger/json`)).json();
  expect(components.schemas.Order.properties).toMatchObject({
    track_number: { pattern: '^[A-Z0-9-]{8,20}$' },
    payment: { properties: { currency: { enum: ['USD', 'CNY'] } } },
  });
  const produced = await startProgram({ ...environment, ORDER_CURRENCIES: 'CNY', ORDER_LOCALES: 'en' }, [
    'producer.ts',
    '--count',
    '20',
    '--rate',
    '0',
  ]).ended();
  expect(produced.status).toBe(0);
  await until(async () => (await world.stored()) === orders.length + 20, 30_000);
  const [used] = await world.database.sql`
    select count(*)::int as count from payments join orders using (order_uid)
    where currency = 'CNY' and locale = 'en' and entry = 'WBIL'`;
  expect(used?.count).toBe(21);
  expect((await program.stop('SIGTERM')).status).toBe(0);
});

test('SIGTERM while PostgreSQL is frozen from the start ends the process with status 0 without waiting', async () => {
  await using world = await openWorld();
  const { hostname, port } = new URL(world.database.url);
  await using proxy = startProxy({ hostname, port: Number(port) });
  proxy.freeze();
  const url = Object.assign(new URL(world.database.url), { hostname: '127.0.0.1', port: String(proxy.port) });
  await using program = startProgram({ ...world.environment, DATABASE_URL: url.href });
  await program.url();
  await until(() => proxy.connections() > 0);
  const { status, took, errors } = await program.stop('SIGTERM');
  expect([status, errors]).toEqual([0, '']);
  expect(took).toBeLessThan(8_000);
});

test('HTTP answers during the cache warm-up, and lookups are then answered from the cache', async () => {
  await using world = await openWorld();
  await using first = startProgram(world.environment);
  await first.said('the cache is warm', 30_000);
  await first.stop('SIGTERM');
  const orders = ordersOf(1_200, 7);
  await createStore(world.database.sql).save(orders);
  const { hostname, port } = new URL(world.database.url);
  await using proxy = startProxy({ hostname, port: Number(port) });
  const url = Object.assign(new URL(world.database.url), { hostname: '127.0.0.1', port: String(proxy.port) });
  proxy.freeze();
  await using program = startProgram({ ...world.environment, DATABASE_URL: url.href, SERVE: 'http' });
  const address = await program.url();
  expect((await statusOf(`${address}/healthz`)).status).toBe(200);
  proxy.resume();
  const warm = await program.said('the cache is warm', 30_000);
  expect(warm).toMatchObject({ inserted: 1_000, durationMs: expect.any(Number) });
  expect(await counterOf(address, 'orders_cache_entries')).toBe(1_000);
  const newest = await fetch(`${address}/order/${orders.at(-1)?.order_uid}`);
  expect(newest.headers.get('cache-status')).toBe('memory; hit');
  const oldest = await fetch(`${address}/order/${orders[0]?.order_uid}`);
  expect(oldest.headers.get('cache-status')).toBe('memory; fwd=miss');
  expect(program.lines().filter(({ msg }) => msg.includes('cache')).length).toBeLessThanOrEqual(5);
});

if (hasRedisServer)
  test('with Redis a second process finds what the first one cached, and an unavailable Redis is only degraded', async () => {
    await using world = await openWorld();
    await using redis = await startRedisServer();
    const environment = { ...world.environment, REDIS_URL: redis.url, CACHE_LIMIT: '5' };
    await using first = startProgram(environment);
    await first.said('the cache is warm', 30_000);
    const orders = ordersOf(1_000, 8);
    await createStore(world.database.sql).save(orders);
    const url = await first.url();
    await using second = startProgram({ ...environment, SERVE: 'http', CACHE_LIMIT: '5' });
    const other = await second.url();
    await second.said('the cache is warm', 30_000);
    const wayOf = async (address: string, index: number) =>
      (await fetch(`${address}/order/${orders[index]?.order_uid}`)).headers.get('cache-status');
    // Redis is not read before it was compared with PostgreSQL once.
    let index = 0;
    await until(async () => (await wayOf(url, index++)) === 'memory; fwd=miss, redis; fwd=miss');
    const found = index - 1;
    await until(
      async () => (await redis.admin.hexists('{orders}:documents', orders[found]?.order_uid ?? '')) === 1,
    );
    await until(async () => (await wayOf(other, index++)) === 'memory; fwd=miss, redis; fwd=miss');
    expect(await wayOf(other, found)).toBe('memory; fwd=miss, redis; hit');
    expect(await wayOf(other, found)).toBe('memory; hit');
    expect(await redis.admin.hlen('{orders}:documents')).toBe(5);

    await redis.kill();
    await until(async () => (await wayOf(url, index++)) === 'memory; fwd=miss, redis; fwd=bypass');
    await until(async () => (await statusOf(`${url}/readyz`)).body.status === 'degraded');
    expect((await statusOf(`${url}/readyz`)).status).toBe(200);
    expect((await first.stop('SIGTERM')).status).toBe(0);
  });

const isFree = (port: number) => {
  try {
    Bun.listen({ hostname: '127.0.0.1', port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
};
if (isFree(9092))
  test('an embedded Kafka broker sends no fake orders to a configured PostgreSQL, says so once, and the command that it names does', async () => {
    await using database = await testDatabase({ migrated: false });
    const dataDir = await mkdtemp(join(tmpdir(), 'order-lookup-run-'));
    try {
      await using program = startProgram({ DATA_DIR: dataDir, DATABASE_URL: database.url });
      await program.said('joined the group', 60_000);
      await until(() => /the page\s+\S+/.test(program.output()));
      expect(program.output()).not.toContain('as JSON');
      // Longer than fake orders take to arrive.
      const sent = await startProgram({}, ['producer.ts', '--count', '4', '--rate', '1']).ended();
      expect(sent.status).toBe(0);
      const stored = async () =>
        (await database.sql`select count(*)::int as count from orders`)[0]?.count as number;
      await until(async () => (await stored()) >= 4);
      expect((await program.stop('SIGTERM')).status).toBe(0);
      expect(await stored()).toBe(4);
      expect(program.complaints().map(({ msg }) => msg)).toEqual([
        'KAFKA_BROKERS is not set, but DATABASE_URL is: orders are read from the embedded Kafka broker, and no fake ones are sent (`bun run producer` sends some)',
      ]);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

if (!isFree(9092)) console.warn('Port 9092 is taken: the run with nothing configured is not tested.');
else
  test('with nothing configured the program runs embedded services and fake orders, and ends all of them with it', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'order-lookup-run-'));
    try {
      await using program = startProgram({ DATA_DIR: dataDir });
      const url = await program.url();
      await until(() => /as JSON\s+\S+/.test(program.output()), 60_000);
      const [, order = ''] = /as JSON\s+(\S+)/.exec(program.output()) ?? [];
      expect((await fetch(order)).status).toBe(200);
      expect((await statusOf(`${url}/readyz`)).body.status).toBe('ready');
      const [, link = ''] = /the console\s+(\S+)/.exec(program.output()) ?? [];
      const login = await fetch(link, { redirect: 'manual' });
      const [cookie = ''] = login.headers.get('set-cookie')?.split(';', 1) ?? [];
      for (const path of ['/console/', '/console/orders', '/console/dead-letters'])
        expect((await fetch(url + path, { headers: { cookie } })).status).toBe(200);
      expect((await fetch(`${url}/console/`)).status).toBe(401);
      const { status, errors, took } = await program.stop('SIGTERM');
      expect([status, errors]).toEqual([0, '']);
      expect(took).toBeLessThan(10_000);
      expect(program.faults()).toEqual([]);
      const left = await new Response(Bun.spawn(['ps', '-eo', 'args']).stdout).text();
      expect(left).not.toContain(dataDir);
      expect(isFree(9092)).toBe(true);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });
