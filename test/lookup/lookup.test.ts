import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createLookup, Unavailable } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { encodeOrder } from '../../src/order/encoded-order.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { startProxy } from '../support/tcp-proxy.ts';

const uidOf = (number: number) => `order-${String(number).padStart(6, '0')}`;
const jsonOf = (uid: string) => `{"order_uid":"${uid}"}`;

/** A store that answers when it is told to. */
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
  createLookup({ memory: createMemoryCache(limit), redis: undefined, store });
const textOf = (document: { body: Uint8Array } | undefined) =>
  document && new TextDecoder().decode(document.body);

describe('lookups of one order that come together', () => {
  test('a thousand cost one query, and all get its answer', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const found = Array.from({ length: 1000 }, () => lookup.find(uidOf(1)));
    expect(asked).toHaveLength(1);
    asked[0]?.answer(jsonOf(uidOf(1)));
    for (const { document } of await Promise.all(found)) expect(textOf(document)).toBe(jsonOf(uidOf(1)));
    expect(lookup.find(uidOf(1))).not.toBeInstanceOf(Promise);
    expect(lookup.counts()).toMatchObject({ postgres: 1000, memory: 1 });
  });

  test('share a failure, which the next does not get', async () => {
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

  test('get an answer within 2 s, even if the query never ends; the next one asks again', async () => {
    const { store, asked } = heldStore();
    const lookup = lookupOn(store);
    const begun = performance.now();
    await expect(lookup.find(uidOf(1))).rejects.toBeInstanceOf(Unavailable);
    expect(performance.now() - begun).toBeLessThan(2_000);
    const next = lookup.find(uidOf(1));
    expect(asked).toHaveLength(2);
    expect(lookup.queries()).toBe(2);
    asked[1]?.answer(jsonOf(uidOf(1)));
    expect((await next).document).toBeDefined();
    asked[0]?.answer(undefined);
    await until(() => lookup.queries() === 0);
  });

  test('whatever orders are asked for, each is asked of the store once', () =>
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

describe('an order that there is not', () => {
  const emptyStore = () => {
    const orders = new Map<string, string>();
    let queries = 0;
    const find = async (uid: string) => {
      queries++;
      return orders.get(uid);
    };
    return { orders, store: { find }, queries: () => queries };
  };

  test('is asked for once, however often it is looked up, and again after a second', async () => {
    const { store, orders, queries } = emptyStore();
    const lookup = lookupOn(store);
    for (let time = 0; time < 100; time++) expect((await lookup.find(uidOf(1))).document).toBeUndefined();
    expect(queries()).toBe(1);
    expect(lookup.counts().none).toBe(100);
    orders.set(uidOf(1), jsonOf(uidOf(1)));
    const begun = performance.now();
    await until(async () => (await lookup.find(uidOf(1))).document, 2_000);
    expect(performance.now() - begun).toBeLessThan(1_200);
  });

  test('is found at once when it has been stored', async () => {
    const { store, orders } = emptyStore();
    const lookup = lookupOn(store);
    await lookup.find(uidOf(1));
    orders.set(uidOf(1), jsonOf(uidOf(1)));
    lookup.onStored([uidOf(1)]);
    expect((await lookup.find(uidOf(1))).document).toBeDefined();
  });

  test('that is stored while its query runs is found by whoever asks after that', async () => {
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

  test('that is stored while its query runs is not remembered as absent', async () => {
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

  test('is forgotten when 10,000 others have come, so that guessing costs no memory', async () => {
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

test('queries that wait for PostgreSQL are bounded: one more is refused at once', async () => {
  const { store, asked } = heldStore();
  const lookup = lookupOn(store);
  const begun = performance.now();
  const found = Array.from({ length: 5_000 }, async (_, number) => lookup.find(uidOf(number)));
  const refused = await Promise.race(found.slice(500)).catch((error) => error);
  expect(refused).toBeInstanceOf(Unavailable);
  expect(performance.now() - begun).toBeLessThan(500);
  expect(asked).toHaveLength(500);
  for (const { uid, answer } of asked) answer(jsonOf(uid));
  const outcomes = await Promise.allSettled(found);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(500);
  expect(lookup.queries()).toBe(0);
});

test('the way is told: what hit, what missed, what was bypassed', async () => {
  const document = encodeOrder(jsonOf(uidOf(1)));
  const open = (leftAlone: boolean, has: boolean) =>
    createLookup({
      memory: createMemoryCache(1),
      redis: {
        get: async () => (has ? document : undefined),
        put() {},
        size: () => 0,
        isBypassed: () => leftAlone,
      },
      store: { find: async () => jsonOf(uidOf(1)) },
    });
  const wayOf = async (lookup: ReturnType<typeof open>) =>
    (await lookup.find(uidOf(1))).steps.map(
      ({ tier, hit, bypassed }) => `${tier} ${hit ? 'hit' : (bypassed ?? 'miss')}`,
    );
  const plain = open(false, false);
  expect(await wayOf(plain)).toEqual(['memory miss', 'redis miss', 'postgres hit']);
  expect(await wayOf(plain)).toEqual(['memory hit']);
  expect(await wayOf(open(false, true))).toEqual(['memory miss', 'redis hit']);
  expect(await wayOf(open(true, true))).toEqual(['memory miss', 'redis true', 'postgres hit']);
  expect(plain.lastHit('postgres')).toBeGreaterThanOrEqual(0);
  expect(plain.lastHit('redis')).toBeUndefined();
});

describe('with PostgreSQL behind a network that fails', () => {
  const open = async (silenceAtMost = 30) => {
    const database = await testDatabase();
    const orders = Array.from({ length: 20 }, (_, number) => buildOrder({ order_uid: uidOf(number) }));
    await createStore(database.sql).save(orders);
    const { hostname, port } = new URL(database.url);
    const proxy = startProxy({ hostname, port: Number(port) });
    const url = Object.assign(new URL(database.url), {
      hostname: '127.0.0.1',
      port: String(proxy.port),
    }).href;
    const sql = openDatabase({ url, connections: 4, name: 'test', silenceTimeoutSeconds: silenceAtMost });
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
    test(`${fault}: cached orders answer at once, others are unavailable within 2 s, and all is well after it`, async () => {
      await using world = await open();
      const { lookup, proxy } = world;
      for (let number = 0; number < 5; number++) expect(await isFound(lookup, number)).toBe(true);
      proxy[fault]();
      const begun = performance.now();
      for (let number = 0; number < 5; number++)
        expect(lookup.find(uidOf(number))).not.toBeInstanceOf(Promise);
      expect(performance.now() - begun).toBeLessThan(20);

      const many = Array.from({ length: 3_000 }, (_, number) => isFound(lookup, 5 + number));
      expect(lookup.queries()).toBeLessThanOrEqual(500);
      expect((await Promise.all(many)).some(Boolean)).toBe(false);
      expect(performance.now() - begun).toBeLessThan(2_000);
      expect(await isFound(lookup, 0)).toBe(true);

      proxy.resume();
      await until(() => isFound(lookup, 6));
      for (let number = 7; number < 20; number++) expect(await isFound(lookup, number)).toBe(true);
      await until(() => lookup.queries() === 0);
    });

  test('connections that are silent for ever are given up, and new ones answer', async () => {
    await using world = await open(1);
    const { lookup, proxy } = world;
    await Promise.all(Array.from({ length: 8 }, (_, number) => isFound(lookup, number)));
    const before = proxy.connections();
    expect(before).toBeGreaterThan(0);
    proxy.strand();
    // A trickle of questions must not pass for a sign of life.
    await until(() => isFound(lookup, 12), 10_000);
    await until(() => lookup.queries() === 0);
    for (let number = 13; number < 20; number++) expect(await isFound(lookup, number)).toBe(true);
  });

  test('a query that takes long while others are answered is not given up', async () => {
    await using database = await testDatabase();
    const sql = openDatabase({ url: database.url, connections: 2, name: 'test', silenceTimeoutSeconds: 1 });
    // PostgreSQL says something meanwhile: a notice.
    const slow = await sql.unsafe(
      `do $$ begin for i in 1..5 loop perform pg_sleep(0.4); raise notice 'alive'; end loop; end $$`,
    );
    expect(slow.command).toBe('DO');
    await expect(sql`select pg_sleep(3)`).rejects.toThrow('ANSWER_TIMEOUT');
    expect((await sql`select 1 as one`)[0]?.one).toBe(1);
    await sql.end({ timeout: 1 });
  });

  test('an idle connection is not given up, however long it is silent', async () => {
    await using database = await testDatabase();
    const sql = openDatabase({ url: database.url, connections: 1, name: 'test', silenceTimeoutSeconds: 0.2 });
    const pid = async () => (await sql`select pg_backend_pid() as pid`)[0]?.pid;
    const first = await pid();
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 600);
    await promise;
    expect(await pid()).toBe(first);
    await sql.end({ timeout: 1 });
  });
});
