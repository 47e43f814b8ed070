import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { createForgetting } from '../../src/lookup/forgetting.ts';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import { createStandbyReads } from '../../src/lookup/standby.ts';
import { createWarmUp } from '../../src/lookup/warm-up.ts';
import type { EncodedOrder } from '../../src/order/encoded-order.ts';
import { createErasures } from '../../src/postgres/erasures.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { uniqueName } from '../support/database.ts';
import { brokers, silent, testDatabase } from '../support/kafka-and-postgres.ts';
import { documentOf, jsonOf, storeOf, uidOf } from '../support/lookup-orders.ts';
import { startReaders } from '../support/readers.ts';
import { openCache, putOrders, startCacheServer, unhurried } from '../support/redis-cache.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { runScript } from '../support/run-script.ts';
import { testWith } from '../support/test-with.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(120_000);

const withRedis = testWith(hasRedisServer, 'redis-server');
const ordersOf = (count: number) => Array.from({ length: count }, createOrderMaker({ seed: 8 }));

test('the memory tier without the removed orders evicts the others first in, first out, and is full at its limit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.record({ number: fc.nat(9), isRemoved: fc.boolean() }), { maxLength: 60 }),
      (limit, steps) => {
        const memory = createMemoryCache(limit);
        let model: string[] = [];
        for (const { number, isRemoved } of steps) {
          const uid = uidOf(number);
          if (isRemoved) memory.remove([uid, uidOf(number + 1)]);
          else memory.put(uid, documentOf(uid));
          if (isRemoved) model = model.filter((one) => one !== uid && one !== uidOf(number + 1));
          else if (!model.includes(uid)) model = [...model, uid].slice(-limit);
          expect(memory.uids()).toEqual(model);
          expect(memory.size()).toBe(model.length);
        }
      },
    ),
  );
});

withRedis('orders are removed from the hash and the queue of Redis in one step', async () => {
  await using server = await startCacheServer(unhurried);
  using cache = await server.open(5);
  await putOrders(cache, 1, 2, 3, 4, 5);
  await cache.remove([uidOf(2), uidOf(4), uidOf(9)]);
  expect(await cache.uids()).toEqual([uidOf(1), uidOf(3), uidOf(5)]);
  await server.expectConsistent();
  await putOrders(cache, 6, 7, 8);
  expect(await cache.uids()).toEqual([3, 5, 6, 7, 8].map(uidOf));
});

withRedis(
  'a thousand of 3,000 orders are removed in ten passes over the queue at most, one after another',
  async () => {
    await using server = await startCacheServer(unhurried);
    using cache = await server.open(5_000);
    const all = Array.from({ length: 3_000 }, (_, number) => uidOf(number));
    await server.admin.hset(documentsKey, ...all.flatMap((uid) => [uid, jsonOf(uid)]));
    await server.admin.rpush(queueKey, ...all);
    const isErased = (_: string, number: number) => number % 3 === 1;
    for (const count of [1, 10, 11, 1_000]) {
      const present = await server.queue();
      const erased = present.filter(isErased).slice(0, count);
      await server.admin.config('RESETSTAT');
      await cache.remove(erased);
      const stats = await server.admin.info('commandstats');
      const callsOf = (name: string) =>
        Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
      expect(callsOf('lrem') + callsOf('lrange')).toBeWithin(1, 11);
      expect(await server.queue()).toEqual(present.filter((uid) => !erased.includes(uid)));
      await server.expectConsistent();
    }
  },
);

const damages = {
  'has lost the queue': (server: Server) => server.admin.del(queueKey),
  'has lost a part of the queue': (server: Server) => server.admin.ltrim(queueKey, 1, -1),
  'has a string for a queue': (server: Server) => server.admin.set(queueKey, 'x'),
};
type Server = Awaited<ReturnType<typeof startCacheServer>>;

for (const [damage, inflict] of Object.entries(damages))
  withRedis(`an erased order is not answered from a Redis that ${damage}, without any insert`, async () => {
    await using server = await startCacheServer(unhurried);
    using cache = await server.open(9);
    await putOrders(cache, 1, 2, 3);
    await inflict(server);
    const forgetting = createForgetting({
      store: {
        latestErasure: async () => 1n,
        findMissing: async (uids) => uids.filter((uid) => uid === uidOf(1)),
      },
      places: [{ name: 'redis', isShared: true, ...cache }],
      onErasure() {},
      log: silent,
    });
    await forgetting.round();
    await forgetting.round();
    expect(await cache.get(uidOf(1))).toBeUndefined();
    expect(await cache.size()).toBe(0);
    expect(forgetting.isStale('redis')).toBeFalse();
    // None was found to be erased: the cache was emptied.
    expect(forgetting.removed()).toEqual([['redis', 0]]);
  });

withRedis('a Redis that loses the queue while erased orders are removed is emptied', async () => {
  await using server = await startCacheServer(unhurried);
  using cache = await server.open(9);
  await putOrders(cache, 1, 2, 3);
  await server.admin.del(queueKey);
  await cache.remove([uidOf(2)]);
  expect(await cache.size()).toBe(0);
});

/** Commands take effect in the order in which they are sent, as on one connection; answers come when the scheduler says. */
const createWorld = (scheduler: fc.Scheduler) => {
  const stored = new Map(Array.from({ length: 4 }, (_, number) => [uidOf(number), jsonOf(uidOf(number))]));
  const redis = new Map<string, EncodedOrder>();
  let latest = 0n;
  const answer = <T>(name: string, value: T) => scheduler.schedule(Promise.resolve(value), name);
  /** Read when the query is executed, which is some time after it was sent. */
  const query = async <T>(name: string, read: () => T) => {
    await answer(`${name} sent`, undefined);
    return answer(`${name} answered`, read());
  };
  const createProcess = () => {
    let erasures = 0;
    const generation = () => erasures;
    const memory = createMemoryCache(9);
    const store = {
      ...storeOf((uid) => query(`find ${uid}`, () => stored.get(uid))),
      newest: async (count: number) => query('newest', () => [...stored.keys()].slice(0, count)),
    };
    const tier = {
      get: (uid: string) => answer(`get ${uid}`, redis.get(uid)),
      getAll: async (uids: readonly string[]) =>
        answer(
          'get all',
          uids.map((uid) => redis.get(uid)),
        ),
      async put(uid: string, document: EncodedOrder) {
        redis.set(uid, document);
      },
      size: async () => redis.size,
      isBypassed: () => false,
    };
    const forgetting = createForgetting({
      store: {
        latestErasure: () => query('latest', () => latest),
        findMissing: (uids) => query('missing', () => uids.filter((uid) => !stored.has(uid))),
      },
      places: [
        { name: 'memory', ...memory },
        {
          name: 'redis',
          isShared: true,
          uids: () => answer('uids', [...redis.keys()]),
          async remove(uids) {
            for (const uid of uids) redis.delete(uid);
          },
        },
      ],
      onErasure() {
        erasures++;
      },
      log: silent,
    });
    const warm = createWarmUp({
      store,
      caches: [memory, tier],
      limit: 9,
      concurrency: 2,
      generation,
      log: silent,
    });
    return {
      memory,
      lookup: createLookup({ memory, redis: tier, store, generation }),
      warm: () => warm(new AbortController().signal),
      round: forgetting.round,
    };
  };
  return {
    createProcess,
    redis,
    erase(uid: string) {
      stored.delete(uid);
      latest++;
    },
  };
};

const anyWork = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('find' as const), process: fc.nat(2), number: fc.nat(3) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('findAll' as const), process: fc.nat(2), number: fc.nat(3) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('warm' as const), process: fc.nat(2), number: fc.nat(3) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('step' as const), process: fc.nat(2), number: fc.nat(20) }),
  },
);

describe('an order that was erased', () => {
  const run = (work: fc.Arbitrary<{ kind: string; process: number; number: number }[]>, processes: number) =>
    fc.assert(
      fc.asyncProperty(work, work, fc.scheduler(), fc.nat(3), async (before, after, scheduler, erased) => {
        const world = createWorld(scheduler);
        const all = Array.from({ length: processes }, world.createProcess);
        const begun: Promise<unknown>[] = [];
        const begin = async (works: typeof before) => {
          for (const { kind, process, number } of works) {
            const { lookup, warm } = all[process % processes] as (typeof all)[number];
            if (kind === 'find') begun.push(Promise.resolve(lookup.find(uidOf(number))));
            if (kind === 'findAll') begun.push(lookup.findAll([0, 1, 2, 3].map(uidOf)));
            if (kind === 'warm') begun.push(warm());
            if (kind === 'step')
              for (let at = 0; at < number && scheduler.count() > 0; at++) await scheduler.waitOne();
          }
        };
        await begin(before);
        world.erase(uidOf(erased));
        // What is in flight answers before, in or after the round.
        const rounds = all.flatMap(({ round }) => [round(), round()]);
        await begin(after);
        await scheduler.waitFor(Promise.all([...rounds, ...begun]));
        // What another process has put into Redis late is removed by its own round, and from here by the next one.
        if (processes > 1) await scheduler.waitFor(Promise.all(all.map(({ round }) => round())));
        await scheduler.waitFor(Promise.all(begun));
        expect([...world.redis.keys()]).not.toContain(uidOf(erased));
        for (const { memory, lookup } of all) {
          expect(memory.uids()).not.toContain(uidOf(erased));
          const answer = Promise.resolve(lookup.find(uidOf(erased)));
          expect((await scheduler.waitFor(answer)).document).toBeUndefined();
        }
      }),
      { numRuns: 1_000 },
    );

  test('is not put back by anything that was in flight, wherever that was', () =>
    run(fc.array(anyWork, { maxLength: 12 }), 1));

  test('is forgotten by three replicas after two rounds each', () =>
    run(fc.array(anyWork, { maxLength: 12 }), 3));
});

test('while Redis does not answer, memory forgets within a second, and Redis is not read until it has forgotten', async () => {
  let latest = 0n;
  const stored = new Set([0, 1, 2, 3].map(uidOf));
  const memory = createMemoryCache(9);
  for (const uid of stored) memory.put(uid, documentOf(uid));
  let answer = Promise.withResolvers<string[]>();
  let sweeps = 0;
  const uids = () => {
    sweeps++;
    return answer.promise;
  };
  const forgetting = createForgetting({
    store: {
      latestErasure: async () => latest,
      findMissing: async (uids) => uids.filter((uid) => !stored.has(uid)),
    },
    places: [
      { name: 'memory', ...memory },
      { name: 'redis', isShared: true, uids, remove() {} },
    ],
    onErasure() {},
    log: silent,
  });
  const closing = new AbortController();
  const running = forgetting.run(closing.signal);
  const erase = (uid: string) => {
    stored.delete(uid);
    latest++;
  };
  for (const number of [1, 2]) {
    erase(uidOf(number));
    const erasedAt = performance.now();
    await until(() => !memory.uids().includes(uidOf(number)) && forgetting.isStale('redis'));
    // 1 s, and what a busy machine may add.
    expect(performance.now() - erasedAt).toBeLessThan(3_000);
    expect(forgetting.isStale('memory')).toBeFalse();
  }
  // This sweep began before the second erasure, so it does not count for it.
  const before = answer;
  answer = Promise.withResolvers<string[]>();
  before.resolve([]);
  await until(() => sweeps === 2);
  expect(forgetting.isStale('redis')).toBeTrue();
  answer.resolve([]);
  await until(() => !forgetting.isStale('redis'));
  closing.abort();
  await running;
});

test('from its start a process does not read Redis before it has swept it once with PostgreSQL, as it may hold an order that was erased', async () => {
  let isUp = false;
  const forgetting = createForgetting({
    store: {
      latestErasure: async () => {
        if (!isUp) throw new Error('PostgreSQL is away');
        return 1n;
      },
      findMissing: async (uids) => [...uids],
    },
    places: [{ name: 'redis', isShared: true, uids: () => [uidOf(1)], remove() {} }],
    onErasure() {},
    log: silent,
  });
  expect(forgetting.isStale('redis')).toBeTrue();
  expect(forgetting.round()).rejects.toThrow('PostgreSQL is away');
  expect(forgetting.isStale('redis')).toBeTrue();
  isUp = true;
  await forgetting.round();
  expect(forgetting.isStale('redis')).toBeFalse();
  expect(forgetting.removed()).toEqual([['redis', 1]]);
});

test('a lookup does not join a load from before an erasure', async () => {
  let erasures = 0;
  const answers: PromiseWithResolvers<string | undefined>[] = [];
  const lookup = createLookup({
    memory: createMemoryCache(9),
    redis: undefined,
    store: storeOf(() => {
      const answer = Promise.withResolvers<string | undefined>();
      answers.push(answer);
      return answer.promise;
    }),
    generation: () => erasures,
  });
  const before = lookup.find(uidOf(1));
  erasures++;
  const after = lookup.find(uidOf(1));
  expect(answers).toHaveLength(2);
  answers[1]?.resolve(undefined);
  expect((await after).document).toBeUndefined();
  answers[0]?.resolve(jsonOf(uidOf(1)));
  await before;
  expect((await lookup.find(uidOf(1))).document).toBeUndefined();
});

test('after an erasure the primary answers until the standby has it, whichever of several standbys that is', async () => {
  await using primary = await testDatabase();
  await using standby = await testDatabase();
  await using late = await testDatabase();
  const first = createStore(primary.sql);
  const standbys = [standby, late].map(({ sql }) => createStore(sql));
  const orders = ordersOf(2);
  const [uid, kept] = orders.map((order) => order.order_uid) as [string, string];
  await first.save(orders);
  // The standbys have not replayed the deletion.
  for (const { save } of standbys) await save(orders);
  await createErasures(primary.sql).erase([uid]);
  let asked = 0;
  const next = () => standbys[asked++ % standbys.length] as (typeof standbys)[number];
  // As a balancer in front of both.
  const balanced = {
    findDated: (uid: string) => next().findDated(uid),
    findAllDated: (uids: readonly string[]) => next().findAllDated(uids),
    ping: () => next().ping(),
  };
  const reads = createStandbyReads({ primary: first, standby: balanced, log: silent });
  try {
    await until(() => asked === 1);
    for (const _ of standbys) expect(await reads.find(uid)).toBeDefined();
    expect(reads.counts()).toMatchObject({ found: 2, absent: 0 });
    reads.onErasure(await first.latestErasure());
    const answers = async () => {
      for (const _ of standbys) {
        expect(await reads.find(uid)).toBeUndefined();
        expect(await reads.find(kept)).toBeDefined();
        expect([...(await reads.findAll([uid, kept])).keys()]).toEqual([kept]);
      }
      return reads.counts();
    };
    expect((await answers()).found).toBe(2);
    await createErasures(standby.sql).erase([uid]);
    // The one that has it answers again, and the other one does not.
    expect((await answers()).found).toBeGreaterThan(2);
  } finally {
    reads.close();
  }
});

withRedis(
  'orders that come back with an old Redis, and orders deleted by hand, are removed within 10 s',
  async () => {
    await using database = await testDatabase();
    await using server = await startCacheServer(unhurried);
    using cache = await openCache(server.url, 9, silent, unhurried);
    const store = createStore(database.sql);
    const [first, second, third] = ordersOf(3).map((order) => ({ ...order }));
    if (!first || !second || !third) throw new Error('no orders');
    await store.save([first, second, third]);
    const memory = createMemoryCache(9);
    let now = 0;
    const forgetting = createForgetting({
      store,
      places: [
        { name: 'memory', ...memory },
        { name: 'redis', isShared: true, ...cache },
      ],
      onErasure() {},
      log: silent,
      now: () => now,
    });
    const fill = async (uid: string) => {
      memory.put(uid, documentOf(uid));
      await cache.put(uid, documentOf(uid));
    };
    for (const { order_uid } of [first, second, third]) await fill(order_uid);
    await createErasures(database.sql).erase([first.order_uid]);
    await forgetting.round();
    expect(await cache.uids()).toEqual([second.order_uid, third.order_uid]);
    expect(memory.uids()).toEqual([second.order_uid, third.order_uid]);

    now = 5_000;
    await forgetting.round();
    await server.admin.hset(documentsKey, first.order_uid, 'old');
    await server.admin.rpush(queueKey, first.order_uid);
    await database.sql`delete from orders where order_uid = ${third.order_uid}`;
    now = 14_999;
    await forgetting.round();
    now = 15_001;
    await forgetting.round();
    expect(await cache.uids()).toEqual([second.order_uid]);
    expect(memory.uids()).toEqual([second.order_uid]);
    expect(forgetting.removed()).toEqual([
      ['memory', 2],
      ['redis', 3],
    ]);
  },
);

withRedis('three replicas and their Redis forget an erased order without a restart', async () => {
  await using database = await testDatabase();
  await using redis = await startRedisServer();
  const orders = ordersOf(5);
  await createStore(database.sql).save(orders);
  const environment = {
    KAFKA_BROKERS: (await brokers()).join(','),
    KAFKA_TOPIC: uniqueName('orders'),
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    SERVE: 'http',
  };
  await using replicas = await startReaders(3, environment);
  const { urls } = replicas;
  const statuses = (uid: string) =>
    Promise.all(urls.map(async (url) => (await fetch(`${url}/order/${uid}`)).status));
  const [erased, kept] = orders.map((order) => order.order_uid) as [string, string];
  expect(await statuses(erased)).toEqual([200, 200, 200]);
  await until(async () => (await redis.admin.hlen(documentsKey)) === 5);
  const done = await runScript('scripts/orders.ts', ['erase', erased, '--yes'], {
    DATABASE_URL: database.url,
  });
  const erasedAt = performance.now();
  expect(done).toMatchObject({ code: 0, errors: '' });
  await until(async () => {
    const found = await statuses(erased);
    return found.every((status) => status === 404);
  });
  await until(async () => (await redis.admin.hlen(documentsKey)) === 4);
  // 1 s, and what a busy machine may add.
  expect(performance.now() - erasedAt).toBeLessThan(5_000);
  console.log(`forgotten by all after ${Math.round(performance.now() - erasedAt)} ms`);
  expect(await statuses(kept)).toEqual([200, 200, 200]);
  expect(await redis.admin.lrange(queueKey, 0, -1)).not.toContain(erased);
});
