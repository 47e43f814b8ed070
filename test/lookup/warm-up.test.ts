import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { OrderCache } from '../../src/lookup/cache.ts';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { createRedisCache } from '../../src/lookup/redis-cache.ts';
import { createWarmUp, keepWarm } from '../../src/lookup/warm-up.ts';
import type { Log } from '../../src/observability/log.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { jsonOf, uidOf } from '../support/lookup-orders.ts';
import { recordingLog } from '../support/recording-log.ts';
import { unhurried } from '../support/redis-cache.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';

/** A cache that records the uids that were inserted, in order. */
const recorder = () => {
  const inserted: string[] = [];
  const cache: OrderCache = {
    get: () => undefined,
    put(uid) {
      inserted.push(uid);
    },
    size: () => inserted.length,
  };
  return { cache, inserted };
};

type Find = (uid: string) => Promise<string | undefined>;
const warmUpOf = (
  count: number,
  find: Find,
  caches: OrderCache[],
  more: { concurrency?: number; log?: Log } = {},
) =>
  createWarmUp({
    store: {
      newest: async (limit) =>
        Array.from({ length: count }, (_, index) => uidOf(count - index)).slice(0, limit),
      find,
    },
    caches,
    limit: 1000,
    concurrency: more.concurrency ?? 50,
    log: more.log ?? silent,
  });
const never = new AbortController().signal;

describe('the warm-up', () => {
  test('inserts the oldest first, in whatever order the loads end', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.scheduler(),
        async (count, concurrency, scheduler) => {
          const { cache, inserted } = recorder();
          const find = (uid: string) => scheduler.schedule(Promise.resolve(jsonOf(uid)));
          const done = warmUpOf(count, find, [cache], { concurrency })(never);
          await scheduler.waitFor(done);
          expect(inserted).toEqual(Array.from({ length: count }, (_, index) => uidOf(index + 1)));
          expect(await done).toBe(count);
        },
      ),
      { numRuns: 50 },
    ));

  test('loads fifty at a time, no more', async () => {
    const open = new Set<() => void>();
    let most = 0;
    const find = async (uid: string) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      open.add(resolve);
      most = Math.max(most, open.size);
      await promise;
      open.delete(resolve);
      return jsonOf(uid);
    };
    const { cache, inserted } = recorder();
    let isDone = false;
    const done = warmUpOf(1000, find, [cache])(never).finally(() => {
      isDone = true;
    });
    await until(() => open.size === 50);
    while (!isDone) {
      for (const end of [...open].reverse()) end();
      await new Promise(setImmediate);
    }
    expect(await done).toBe(1000);
    expect(most).toBe(50);
    expect(inserted).toHaveLength(1000);
  });

  test('skips an order that is erased before it is loaded', async () => {
    const { cache, inserted } = recorder();
    await warmUpOf(3, async (uid) => (uid === uidOf(2) ? undefined : jsonOf(uid)), [cache])(never);
    expect(inserted).toEqual([uidOf(1), uidOf(3)]);
  });

  test('ends with the first load that fails, and loads no more', async () => {
    let loads = 0;
    const find = async (uid: string) => {
      loads++;
      if (uid === uidOf(10)) throw new Error('away');
      return jsonOf(uid);
    };
    await expect(warmUpOf(1000, find, [recorder().cache], { concurrency: 5 })(never)).rejects.toThrow('away');
    const loaded = loads;
    await new Promise(setImmediate);
    expect(loads).toBe(loaded);
    expect(loads).toBeLessThan(50);
  });

  test('is cancelled by a stop', async () => {
    const stopping = new AbortController();
    let loads = 0;
    const find = async (uid: string) => {
      if (++loads === 100) stopping.abort(new Error('stopped'));
      return jsonOf(uid);
    };
    await expect(warmUpOf(1000, find, [recorder().cache])(stopping.signal)).rejects.toThrow('stopped');
    expect(loads).toBeLessThan(200);
  });

  test('logs its progress in five lines, with the time it took', async () => {
    const { log, lines, texts } = recordingLog();
    await warmUpOf(1000, async (uid) => jsonOf(uid), [recorder().cache], { log })(never);
    expect(texts()).toEqual([...Array(4).fill('warming the cache'), 'the cache is warm']);
    expect(lines[0]?.fields).toEqual({ orders: 1000, concurrency: 50 });
    expect(lines[2]?.fields).toEqual({ inserted: 500, of: 1000 });
    expect(lines[4]?.fields).toEqual({ inserted: 1000, durationMs: expect.any(Number) });
  });

  test('of an empty table inserts nothing, and logs two lines', async () => {
    const { log, lines } = recordingLog();
    expect(await warmUpOf(0, async () => undefined, [], { log })(never)).toBe(0);
    expect(lines).toHaveLength(2);
  });

  test('leaves the newest orders of PostgreSQL in memory, the oldest of them the first to be evicted', async () => {
    await using database = await testDatabase();
    const store = createStore(database.sql);
    await store.save(Array.from({ length: 30 }, (_, number) => buildOrder({ order_uid: uidOf(number) })));
    const memory = createMemoryCache(20);
    const lookup = createLookup({ memory, redis: undefined, store });
    const warmUp = createWarmUp({
      store,
      caches: [memory],
      limit: 20,
      concurrency: 7,
      onMeasured: lookup.seedHitDuration,
      log: silent,
    });
    expect(await warmUp(never)).toBe(20);
    // So that the page can compare them before anything has been looked up.
    const [inMemory, inPostgres] = [lookup.lastHitMs('memory'), lookup.lastHitMs('postgres')];
    expect(inMemory).toBeGreaterThan(0);
    expect(inPostgres).toBeGreaterThan(inMemory as number);
    expect(inPostgres).toBeLessThan(5_000);
    lookup.seedHitDuration('postgres', 1_000_000);
    expect(lookup.lastHitMs('postgres')).toBe(inPostgres);
    const held = () =>
      Array.from({ length: 31 }, (_, number) => number).filter((number) => memory.get(uidOf(number)));
    expect(held()).toEqual(Array.from({ length: 20 }, (_, index) => 10 + index));
    memory.put(uidOf(30), memory.get(uidOf(29)) as never);
    expect(held()).toEqual(Array.from({ length: 20 }, (_, index) => 11 + index));
    const document = memory.get(uidOf(29));
    expect(new TextDecoder().decode(document?.body)).toBe((await store.find(uidOf(29))) as string);
  });
});

if (hasRedisServer)
  describe('keepWarm', () => {
    const open = async () => {
      const server = await startRedisServer();
      const memory = createMemoryCache(1000);
      const redis = createRedisCache({ url: server.url, limit: 1000, log: silent, ...unhurried });
      let times = 0;
      const warmUp = warmUpOf(1000, async (uid) => jsonOf(uid), [memory, redis]);
      const warm = async () => {
        times++;
        await warmUp(never);
      };
      return {
        server,
        redis,
        times: () => times,
        keep: () => keepWarm({ warm, memory, redis }),
        queue: () => server.admin.lrange('{orders}:queue', 0, -1),
        async [Symbol.asyncDispose]() {
          redis.close();
          await server[Symbol.asyncDispose]();
        },
      };
    };
    const all = Array.from({ length: 1000 }, (_, index) => uidOf(index + 1));

    test('inserts a thousand orders into Redis, in order, before it resolves', async () => {
      await using world = await open();
      await until(() => !world.redis.isBypassed());
      await world.keep();
      expect(await world.queue()).toEqual(all);
    });

    test('fills a Redis that comes back empty, once', async () => {
      await using world = await open();
      await until(() => !world.redis.isBypassed());
      await world.keep();
      await world.server.kill();
      await world.server.start();
      await until(async () => (await world.server.admin.llen('{orders}:queue')) === 1000);
      expect(await world.queue()).toEqual(all);
      expect(world.times()).toBe(2);
    });

    test('does not warm again when Redis comes back with its data', async () => {
      await using world = await open();
      await until(() => !world.redis.isBypassed());
      await world.keep();
      let sizes = 0;
      const size = world.redis.size;
      world.redis.size = () => {
        sizes++;
        return size();
      };
      await world.server.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await until(() => sizes === 1);
      expect(await world.redis.size()).toBe(1000);
      expect(world.times()).toBe(1);
    });

    test('fills a Redis that connects only after the warm-up', async () => {
      await using world = await open();
      await world.server.kill();
      await until(() => world.redis.isBypassed());
      await world.keep();
      await world.server.start();
      await until(async () => (await world.server.admin.llen('{orders}:queue')) === 1000);
      expect(world.times()).toBe(2);
    });
  });
