import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { OrderCache } from '../../src/lookup/cache.ts';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { createRedisCache } from '../../src/lookup/redis-cache.ts';
import type { EncodedOrder } from '../../src/order/encoded-order.ts';
import { silent } from '../support/database.ts';
import { documentOf, storeOf, uidOf } from '../support/lookup-orders.ts';
import { unhurried } from '../support/redis-cache.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

type Opened = { cache: OrderCache; close(): void };

const server = hasRedisServer ? await startRedisServer() : undefined;
afterAll(() => server?.[Symbol.asyncDispose]());

const openRedis = async (limit: number) => {
  if (!server) throw new Error('no redis-server');
  await server.admin.flushall();
  const cache = createRedisCache({ url: server.url, limit, log: silent, ...unhurried });
  await until(() => !cache.isBypassed());
  return cache;
};

/** Both tiers behind a lookup: an order that is put is in PostgreSQL alone, and a lookup fills the tiers. */
const openPair = async (limit: number): Promise<Opened> => {
  const redis = await openRedis(limit);
  const memory = createMemoryCache(limit);
  const stored = new Map<string, EncodedOrder>();
  let inserting: Promise<void> = Promise.resolve();
  const lookup = createLookup({
    memory,
    redis: {
      ...redis,
      put(uid, document) {
        inserting = redis.put(uid, document);
        return inserting;
      },
    },
    store: storeOf(async (uid) => {
      const document = stored.get(uid);
      return document && new TextDecoder().decode(document.body);
    }),
  });
  const find = async (uid: string) => {
    lookup.onStored([uid]);
    return (await lookup.find(uid)).document;
  };
  return {
    cache: {
      get: find,
      async put(uid, document) {
        stored.set(uid, document);
        await find(uid);
        await inserting;
        stored.delete(uid);
      },
      async size() {
        expect(await redis.size()).toBe(memory.size());
        return memory.size();
      },
    },
    close: redis.close,
  };
};

const tiers: Record<string, (limit: number) => Promise<Opened>> = {
  'the memory tier': async (limit) => ({ cache: createMemoryCache(limit), close() {} }),
};
if (hasRedisServer) {
  tiers['the Redis tier'] = async (limit) => {
    const cache = await openRedis(limit);
    return { cache, close: cache.close };
  };
  tiers['both tiers'] = openPair;
}

for (const [name, open] of Object.entries(tiers))
  describe(name, () => {
    const withCache = async (limit: number, use: (cache: OrderCache) => Promise<void>) => {
      const { cache, close } = await open(limit);
      try {
        await use(cache);
      } finally {
        close();
      }
    };
    const put = async (cache: OrderCache, ...numbers: number[]) => {
      for (const number of numbers) await cache.put(uidOf(number), documentOf(uidOf(number)));
    };
    const held = async (cache: OrderCache, upTo: number) => {
      const numbers: number[] = [];
      for (let number = 1; number <= upTo; number++) if (await cache.get(uidOf(number))) numbers.push(number);
      return numbers;
    };

    test('returns the bytes that were put, with the same entity tag', () =>
      withCache(10, async (cache) => {
        const uid = uidOf(1);
        await put(cache, 1);
        const found = await cache.get(uid);
        expect(Buffer.from(found?.body ?? [])).toEqual(Buffer.from(documentOf(uid).body));
        expect(found?.etag).toBe(documentOf(uid).etag);
      }));

    test('misses an order that was not put', () =>
      withCache(10, async (cache) => {
        await put(cache, 1);
        expect(await cache.get(uidOf(2))).toBeUndefined();
        expect(await cache.size()).toBe(1);
      }));

    test('evicts the oldest when there is no room', () =>
      withCache(3, async (cache) => {
        await put(cache, 1, 2, 3, 4, 5);
        expect(await held(cache, 5)).toEqual([3, 4, 5]);
        expect(await cache.size()).toBe(3);
      }));

    test('is FIFO: a read does not delay an eviction', () =>
      withCache(3, async (cache) => {
        await put(cache, 1, 2, 3);
        for (let time = 0; time < 5; time++) await cache.get(uidOf(1));
        await put(cache, 4);
        expect(await held(cache, 4)).toEqual([2, 3, 4]);
      }));

    test('ignores an order that it holds: it does not become younger', () =>
      withCache(3, async (cache) => {
        await put(cache, 1, 2, 3, 1, 1, 4);
        expect(await held(cache, 4)).toEqual([2, 3, 4]);
        expect(await cache.size()).toBe(3);
      }));

    test('inserts an order that was evicted as a new one', () =>
      withCache(2, async (cache) => {
        await put(cache, 1, 2, 3, 1);
        expect(await held(cache, 3)).toEqual([1, 3]);
        await put(cache, 4);
        expect(await held(cache, 4)).toEqual([1, 4]);
      }));

    test('with a limit of 1 holds the last order', () =>
      withCache(1, async (cache) => {
        await put(cache, 1, 2, 2, 3);
        expect(await held(cache, 3)).toEqual([3]);
        expect(await cache.size()).toBe(1);
      }));

    test.each([
      'ünïcödé-№-订单-🚚',
      '"quoted\\back"',
      'line\nbreak\ttab',
      '\u0001\u001f\u007f\u2028\u2029-x',
      '../../../../etc',
      '{orders}:queue',
      '__proto__--',
    ])('holds the uid %j', (uid) =>
      withCache(2, async (cache) => {
        await cache.put(uid, documentOf(uid));
        expect((await cache.get(uid))?.etag).toBe(documentOf(uid).etag);
      }),
    );

    test('after any puts and gets holds the orders inserted last, never more than its limit', () =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 5 }),
          fc.array(fc.tuple(fc.constantFrom('put', 'get'), fc.integer({ min: 1, max: 8 })), {
            maxLength: 40,
          }),
          (limit, actions) =>
            withCache(limit, async (cache) => {
              const queue: number[] = [];
              for (const [action, number] of actions) {
                const isIn = queue.includes(number);
                if (action === 'get') expect((await cache.get(uidOf(number))) !== undefined).toBe(isIn);
                else {
                  await put(cache, number);
                  if (!isIn && queue.push(number) > limit) queue.shift();
                }
                expect(await cache.size()).toBe(queue.length);
              }
              expect(await held(cache, 8)).toEqual(queue.toSorted((a, b) => a - b));
            }),
        ),
        { numRuns: 40 },
      ));
  });
