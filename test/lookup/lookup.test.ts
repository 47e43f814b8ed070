import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { documentOf, jsonOf, storeOf, uidOf } from '../support/lookup-orders.ts';
import { startProxy } from '../support/tcp-proxy.ts';

/** A store whose queries the test answers. */
const heldStore = () => {
  const asked: { uid: string; answer: (json?: string) => void; fail: (error: Error) => void }[] = [];
  const find = (uid: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    asked.push({ uid, answer: resolve, fail: reject });
    return promise;
  };
  return { store: { find }, asked };
};
const lookupOn = (store: { find(uid: string): Promise<string | undefined> }, limit = 1000) =>
  createLookup({ memory: createMemoryCache(limit), redis: undefined, store: storeOf(store.find) });
const textOf = (document: { body: Uint8Array } | undefined) =>
  document && new TextDecoder().decode(document.body);

describe('concurrent lookups of one order', () => {
  test('a thousand share one query and its answer', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const found = Array.from({ length: 1000 }, () => lookup.find(uidOf(1)));
    expect(asked).toHaveLength(1);
    asked[0]?.answer(jsonOf(uidOf(1)));
    for (const { document } of await Promise.all(found)) expect(textOf(document)).toBe(jsonOf(uidOf(1)));
    expect(lookup.find(uidOf(1))).not.toBeInstanceOf(Promise);
    expect(lookup.counts()).toMatchObject({ postgres: 1000, memory: 1 });
  });

  test('share a failure; the next lookup queries again', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const found = Array.from({ length: 1000 }, async () => lookup.find(uidOf(1)));
    asked[0]?.fail(new Error('select secret from orders'));
    for (const outcome of await Promise.allSettled(found)) {
      expect(outcome.status === 'rejected' && outcome.reason).toBeInstanceOf(Unavailable);
      expect(outcome.status === 'rejected' && outcome.reason.message).not.toContain('select');
    }
    const next = lookup.find(uidOf(1));
    asked[1]?.answer(jsonOf(uidOf(1)));
    expect(textOf((await next).document)).toBe(jsonOf(uidOf(1)));
    expect(lookup.counts()).toMatchObject({ unavailable: 1000, postgres: 1 });
  });

  test('are unavailable after 1.5 s when the query never ends; the next lookup queries again', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const begun = performance.now();
    await expect(lookup.find(uidOf(1))).rejects.toBeInstanceOf(Unavailable);
    // 1.5 s, and what a busy machine may add.
    expect(performance.now() - begun).toBeLessThan(4_000);
    const next = lookup.find(uidOf(1));
    expect(asked).toHaveLength(2);
    expect(lookup.queriesInFlight()).toBe(2);
    asked[1]?.answer(jsonOf(uidOf(1)));
    expect((await next).document).toBeDefined();
    asked[0]?.answer(undefined);
    await until(() => lookup.queriesInFlight() === 0);
  });

  test('of whatever orders cost one query for each order', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 10 })),
        fc.scheduler(),
        async (numbers, scheduler) => {
          const asked: string[] = [];
          const find = async (uid: string) => {
            asked.push(uid);
            await scheduler.schedule(Promise.resolve());
            return jsonOf(uid);
          };
          const lookup = lookupOn({ find });
          const found = Promise.all(numbers.map((number) => lookup.find(uidOf(number))));
          await scheduler.waitAll();
          const answers = await found;
          expect(answers.map(({ document }) => textOf(document))).toEqual(
            numbers.map((n) => jsonOf(uidOf(n))),
          );
          expect(asked).toHaveLength(new Set(numbers).size);
        },
      ),
    ));
});

describe('an unknown order', () => {
  const emptyStore = () => {
    const orders = new Map<string, string>();
    let queries = 0;
    const find = async (uid: string) => {
      queries++;
      return orders.get(uid);
    };
    return { orders, store: { find }, queries: () => queries };
  };

  test('is queried once, however often it is looked up, and again after a second', async () => {
    const { store, orders, queries } = emptyStore();
    const lookup = lookupOn(store);
    for (let time = 0; time < 100; time++) expect((await lookup.find(uidOf(1))).document).toBeUndefined();
    expect(queries()).toBe(1);
    expect(lookup.counts().none).toBe(100);
    orders.set(uidOf(1), jsonOf(uidOf(1)));
    const begun = performance.now();
    await until(async () => (await lookup.find(uidOf(1))).document);
    // 1 s, and what a busy machine may add.
    expect(performance.now() - begun).toBeLessThan(4_000);
  });

  test('is found as soon as it has been stored', async () => {
    const { store, orders } = emptyStore();
    const lookup = lookupOn(store);
    await lookup.find(uidOf(1));
    orders.set(uidOf(1), jsonOf(uidOf(1)));
    lookup.onStored([uidOf(1)]);
    expect((await lookup.find(uidOf(1))).document).toBeDefined();
  });

  test('that is stored while its query is in flight is found by lookups that begin after that', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const early = lookup.find(uidOf(1));
    lookup.onStored([uidOf(1)]);
    const late = lookup.find(uidOf(1));
    asked[1]?.answer(jsonOf(uidOf(1)));
    asked[0]?.answer(undefined);
    expect((await early).document).toBeUndefined();
    expect((await late).document).toBeDefined();
    expect((await lookup.find(uidOf(1))).document).toBeDefined();
  });

  test('that is stored while its query is in flight does not enter the negative cache', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const early = lookup.find(uidOf(1));
    lookup.onStored([uidOf(1)]);
    asked[0]?.answer(undefined);
    await early;
    const late = lookup.find(uidOf(1));
    expect(asked).toHaveLength(2);
    asked[1]?.answer(jsonOf(uidOf(1)));
    expect((await late).document).toBeDefined();
  });

  test('leaves the negative cache when 10,000 others have been inserted, so that guessing costs no memory', async () => {
    const { store, queries } = emptyStore();
    const lookup = lookupOn(store);
    for (let number = 0; number <= 10_000; number++) await lookup.find(uidOf(number));
    expect(queries()).toBe(10_001);
    await lookup.find(uidOf(10_000));
    expect(queries()).toBe(10_001);
    await lookup.find(uidOf(0));
    expect(queries()).toBe(10_002);
  });
});

test('queries in flight are limited: one more is rejected at once', async () => {
  const { store, asked } = heldStore();
  const lookup = lookupOn(store);
  const found = Array.from({ length: 5_000 }, async (_, number) => lookup.find(uidOf(number)));
  const settled = Promise.allSettled(found);
  let hasTimedOut = false;
  for (const inFlight of found.slice(0, 500))
    inFlight.catch(() => {
      hasTimedOut = true;
    });
  const refused = await Promise.race(found.slice(500)).catch((error) => error);
  expect(refused).toBeInstanceOf(Unavailable);
  expect(hasTimedOut).toBe(false);
  expect(asked).toHaveLength(500);
  for (const { uid, answer } of asked) answer(jsonOf(uid));
  const outcomes = await settled;
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(500);
  expect(lookup.queriesInFlight()).toBe(0);
});

test('an answer names each tier that hit, missed or was bypassed', async () => {
  const document = documentOf(uidOf(1));
  const open = (isBypassed: boolean, has: boolean) =>
    createLookup({
      memory: createMemoryCache(1),
      redis: {
        get: async () => (has ? document : undefined),
        put() {},
        size: () => 0,
        getAll: async () => undefined,
        isBypassed: () => isBypassed,
      },
      store: storeOf(async () => jsonOf(uidOf(1))),
    });
  const tiersOf = async (lookup: ReturnType<typeof open>) =>
    (await lookup.find(uidOf(1))).steps.map(
      ({ tier, hit, bypassed }) => `${tier} ${hit ? 'hit' : (bypassed ?? 'miss')}`,
    );
  const plain = open(false, false);
  expect(await tiersOf(plain)).toEqual(['memory miss', 'redis miss', 'postgres hit']);
  expect(await tiersOf(plain)).toEqual(['memory hit']);
  expect(await tiersOf(open(false, true))).toEqual(['memory miss', 'redis hit']);
  expect(await tiersOf(open(true, true))).toEqual(['memory miss', 'redis true', 'postgres hit']);
  expect(plain.lastHitMs('postgres')).toBeGreaterThanOrEqual(0);
  expect(plain.lastHitMs('redis')).toBeUndefined();
});

describe('with PostgreSQL behind a network that fails', () => {
  const open = async (silenceTimeoutSeconds = 30) => {
    const database = await testDatabase();
    const orders = Array.from({ length: 20 }, (_, number) => buildOrder({ order_uid: uidOf(number) }));
    await createStore(database.sql).save(orders);
    const { hostname, port } = new URL(database.url);
    const proxy = startProxy({ hostname, port: Number(port) });
    const url = Object.assign(new URL(database.url), {
      hostname: '127.0.0.1',
      port: String(proxy.port),
    }).href;
    const sql = openDatabase({ url, connections: 4, name: 'test', silenceTimeoutSeconds });
    const lookup = createLookup({ memory: createMemoryCache(10), redis: undefined, store: createStore(sql) });
    return {
      lookup,
      proxy,
      async [Symbol.asyncDispose]() {
        await sql.end({ timeout: 0 });
        await proxy[Symbol.asyncDispose]();
        await database[Symbol.asyncDispose]();
      },
    };
  };
  type Lookup = Awaited<ReturnType<typeof open>>['lookup'];

  const isFound = async (lookup: Lookup, number: number) => {
    try {
      return (await lookup.find(uidOf(number))).document !== undefined;
    } catch (error) {
      if (error instanceof Unavailable) return false;
      throw error;
    }
  };

  for (const fault of ['freeze', 'cut'] as const)
    test(`${fault}: cached orders answer at once, others are unavailable after the query timeout, and all are found after it`, async () => {
      await using world = await open();
      const { lookup, proxy } = world;
      for (let number = 0; number < 5; number++) expect(await isFound(lookup, number)).toBe(true);
      proxy[fault]();
      const begun = performance.now();
      for (let number = 0; number < 5; number++)
        expect(lookup.find(uidOf(number))).not.toBeInstanceOf(Promise);
      expect(performance.now() - begun).toBeLessThan(500);

      const many = Array.from({ length: 3_000 }, (_, number) => isFound(lookup, 5 + number));
      expect(lookup.queriesInFlight()).toBeLessThanOrEqual(500);
      expect((await Promise.all(many)).some(Boolean)).toBe(false);
      // The timeout is 1.5 s; a busy machine takes longer for 3,000 lookups. One after another they would take minutes.
      expect(performance.now() - begun).toBeLessThan(12_000);
      expect(await isFound(lookup, 0)).toBe(true);

      proxy.resume();
      await until(() => isFound(lookup, 6));
      for (let number = 7; number < 20; number++) expect(await isFound(lookup, number)).toBe(true);
      await until(() => lookup.queriesInFlight() === 0);
    });

  test('connections that stay silent are closed, and new ones answer', async () => {
    await using world = await open(1);
    const { lookup, proxy } = world;
    await Promise.all(Array.from({ length: 8 }, (_, number) => isFound(lookup, number)));
    const before = proxy.connections();
    expect(before).toBeGreaterThan(0);
    proxy.strand();
    // New queries must not count as a sign of life.
    await until(() => isFound(lookup, 12), 20_000);
    await until(() => lookup.queriesInFlight() === 0);
    for (let number = 13; number < 20; number++) expect(await isFound(lookup, number)).toBe(true);
  });

  test('a slow query is not cancelled while its connection receives something', async () => {
    await using database = await testDatabase();
    const sql = openDatabase({ url: database.url, connections: 2, name: 'test', silenceTimeoutSeconds: 2 });
    // Notices are received meanwhile.
    const slow = await sql.unsafe(
      `do $$ begin for i in 1..5 loop perform pg_sleep(0.6); raise notice 'alive'; end loop; end $$`,
    );
    expect(slow.command).toBe('DO');
    await expect(sql`select pg_sleep(4)`).rejects.toThrow('ANSWER_TIMEOUT');
    expect((await sql`select 1 as one`)[0]?.one).toBe(1);
    await sql.end({ timeout: 1 });
  }, 120_000);

  test('an idle connection is not closed, however long it is silent', async () => {
    await using database = await testDatabase();
    const sql = openDatabase({ url: database.url, connections: 1, name: 'test', silenceTimeoutSeconds: 1.5 });
    const pid = async () => (await sql`select pg_backend_pid() as pid`)[0]?.pid;
    const first = await pid();
    await Bun.sleep(2_000);
    expect(await pid()).toBe(first);
    await sql.end({ timeout: 1 });
  });
});
