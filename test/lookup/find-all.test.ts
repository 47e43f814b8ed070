import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import type { RedisCache } from '../../src/lookup/redis-cache.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { startCacheServer, unhurried } from '../support/redis-cache.ts';
import { hasRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const stored = Array.from({ length: 5 }, (_, index) => buildOrder({ order_uid: `stored-order-${index}` }));
const uids = stored.map(({ order_uid }) => order_uid);

/** A lookup on a database of its own; `queries` has the uids of each query for orders. */
const openLookup = async (redis?: RedisCache) => {
  const database = await testDatabase();
  const store = createStore(database.sql);
  await store.save(stored);
  const queries: (readonly string[])[] = [];
  /** A query waits for this. */
  const gate = { opened: Promise.resolve() };
  const lookup = createLookup({
    memory: createMemoryCache(10),
    redis,
    store: {
      async find(uid) {
        queries.push([uid]);
        await gate.opened;
        return store.find(uid);
      },
      async findAll(uids) {
        queries.push(uids);
        await gate.opened;
        return store.findAll(uids);
      },
      findOtherCases: store.findOtherCases,
    },
  });
  const read = async (uids: readonly string[]) =>
    (await lookup.findAll(uids)).map((answer) => {
      if (answer instanceof Unavailable) return 'unavailable';
      const tier = answer.steps.find(({ hit }) => hit)?.tier;
      return answer.document ? tier : `none after ${answer.steps.map(({ tier }) => tier)}`;
    });
  return { lookup, store, queries, gate, read, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
};

describe('several orders at once', () => {
  test('cost one query for all that memory does not have, and none when memory has all', async () => {
    await using world = await openLookup();
    const { read, queries } = world;
    await world.lookup.find(uids[1] as string);
    expect(await read([...uids.slice(0, 3), 'no-such-order'])).toEqual([
      'postgres',
      'memory',
      'postgres',
      'none after memory,postgres',
    ]);
    expect(queries).toEqual([[uids[1] as string], [uids[0] as string, uids[2] as string, 'no-such-order']]);
    expect(await read(uids.slice(0, 3))).toEqual(['memory', 'memory', 'memory']);
    expect(queries).toHaveLength(2);
    expect(world.lookup.counts()).toMatchObject({ memory: 4, postgres: 3, none: 1, unavailable: 0 });
  });

  test('a number that no order has is not queried again within a second, alone or with others', async () => {
    await using world = await openLookup();
    const { read, queries } = world;
    await read(['no-such-order', 'no-other-order']);
    await world.lookup.find('no-such-order');
    expect(await read(['no-other-order', uids[0] as string])).toEqual(['none after memory', 'postgres']);
    expect(queries.slice(1)).toEqual([[uids[0] as string]]);
  });

  test('an order that is stored meanwhile is found, whatever the query saw', async () => {
    await using world = await openLookup();
    const { lookup, store, read, gate } = world;
    const late = buildOrder({ order_uid: 'late-order-1' });
    const held = Promise.withResolvers<void>();
    gate.opened = held.promise;
    const first = read([late.order_uid, uids[0] as string]);
    lookup.onStored([late.order_uid]);
    gate.opened = Promise.resolve();
    held.resolve();
    expect((await first)[0]).toStartWith('none');
    await store.save([late]);
    expect(await read([late.order_uid])).toEqual(['postgres']);
  });

  test('share the queries that are in flight, in both directions', async () => {
    await using world = await openLookup();
    const { lookup, read, queries, gate } = world;
    const held = Promise.withResolvers<void>();
    gate.opened = held.promise;
    const alone = lookup.find(uids[0] as string);
    const together = read(uids.slice(0, 3));
    const joined = lookup.find(uids[2] as string);
    const others = read(uids.slice(1, 4));
    held.resolve();
    expect((await alone).document).toBeDefined();
    expect(await together).toEqual(['postgres', 'postgres', 'postgres']);
    expect((await joined).document).toBeDefined();
    expect(await others).toEqual(['postgres', 'postgres', 'postgres']);
    expect(queries).toEqual([uids.slice(0, 1), uids.slice(1, 3), uids.slice(3, 4)]);
  });

  test('while PostgreSQL is away, those in memory are answered and the others are unavailable', async () => {
    await using world = await openLookup();
    const { lookup, read, gate } = world;
    await lookup.find(uids[0] as string);
    gate.opened = Promise.reject(new Error('away'));
    expect(await read(uids.slice(0, 3))).toEqual(['memory', 'unavailable', 'unavailable']);
    expect(lookup.counts().unavailable).toBe(2);
    gate.opened = Promise.resolve();
    expect(await read(uids.slice(0, 3))).toEqual(['memory', 'postgres', 'postgres']);
  });
});

if (hasRedisServer)
  describe('with Redis', async () => {
    const server = await startCacheServer(unhurried);
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(server.reset);
    const reads = async () => {
      const stats = await server.admin.info('commandstats');
      return [...stats.matchAll(/cmdstat_(hm?get):calls=(\d+)/g)].map(
        ([, name, calls]) => `${name} ${calls}`,
      );
    };

    test('several orders cost one command, and PostgreSQL is queried for what Redis does not have', async () => {
      using redis = await server.open(100);
      await using first = await openLookup(redis);
      await first.read(uids.slice(0, 3));
      await until(async () => (await redis.size()) === 3);
      await using second = await openLookup(redis);
      await server.admin.config('RESETSTAT');
      expect(await second.read(['no-such-order', ...uids])).toEqual([
        'none after memory,redis,postgres',
        'redis',
        'redis',
        'redis',
        'postgres',
        'postgres',
      ]);
      // Insertion reads in its script, by HGET.
      expect((await reads()).filter((read) => read.startsWith('hmget'))).toEqual(['hmget 1']);
      expect(second.queries).toEqual([['no-such-order', ...uids.slice(3)]]);
      expect(await second.read(uids.slice(0, 3))).toEqual(['memory', 'memory', 'memory']);
    });

    test('of which it has damaged ones, the others are answered from it', async () => {
      using redis = await server.open(100);
      await using first = await openLookup(redis);
      await first.read(uids);
      await until(async () => (await redis.size()) === 5);
      await server.admin.hset('{orders}:documents', uids[1] as string, 'damaged');
      await using second = await openLookup(redis);
      expect(await second.read(uids)).toEqual(['redis', 'postgres', 'redis', 'redis', 'redis']);
    });
  });
