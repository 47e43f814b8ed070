import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import { documentOf, jsonOf, uidOf } from '../support/lookup-orders.ts';
import { putOrders, startCacheServer, unhurried } from '../support/redis-cache.ts';
import { hasRedisServer } from '../support/redis-server.ts';

if (hasRedisServer)
  describe('the Redis tier repairs itself', async () => {
    const server = await startCacheServer(unhurried);
    const { admin } = server;
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(server.reset);

    const damages: Record<string, () => Promise<unknown>> = {
      'the documents are deleted': () => admin.del(documentsKey),
      'the queue is deleted': () => admin.del(queueKey),
      'both are deleted': () => admin.flushall(),
      'the documents are a string': () => admin.set(documentsKey, 'x'),
      'the documents are a list': async () => {
        await admin.del(documentsKey);
        await admin.rpush(documentsKey, 'a', 'b', 'c');
      },
      'the queue is a string': () => admin.set(queueKey, 'x'),
      'the queue is a hash': async () => {
        await admin.del(queueKey);
        await admin.hset(queueKey, 'a', '1', 'b', '2', 'c', '3');
      },
      'both are sets': async () => {
        await admin.del(documentsKey, queueKey);
        await admin.sadd(documentsKey, 'a');
        await admin.sadd(queueKey, 'a');
      },
      'a document is missing': () => admin.hdel(documentsKey, uidOf(2)),
      'there is an extra document': () => admin.hset(documentsKey, 'unknown', '{}'),
      'a uid is missing from the queue': () => admin.lpop(queueKey),
      'there is an extra uid in the queue': () => admin.lpush(queueKey, 'unknown'),
      'there are a hundred thousand extra uids': () =>
        admin.eval(`for i = 1, 100000 do redis.call('RPUSH', KEYS[1], i) end`, 1, queueKey),
      'an unknown uid is in both': async () => {
        await admin.lpush(queueKey, 'unknown');
        await admin.hset(documentsKey, 'unknown', 'garbage');
      },
      'a uid of the queue is replaced': () => admin.lset(queueKey, 1, 'unknown'),
      'a uid is in the queue twice': () => admin.lset(queueKey, 1, uidOf(1)),
    };
    test.each(Object.entries(damages))('when %s', async (_, damage) => {
      using cache = await server.open(3);
      await putOrders(cache, 1, 2, 3);
      await damage();
      await cache.get(uidOf(1));
      // The repair may take until every order that was there is evicted.
      await putOrders(cache, 4, 5, 6, 7);
      expect(await server.queue()).toEqual((await server.queue()).slice(-3));
      await server.expectConsistent();
      expect(await admin.llen(queueKey)).toBeGreaterThanOrEqual(2);
      expect(await admin.llen(queueKey)).toBeLessThanOrEqual(3);
      expect((await cache.get(uidOf(7)))?.etag).toBe(documentOf(uidOf(7)).etag);
      expect(cache.isBypassed()).toBe(false);
    });

    const uid = uidOf(2);
    test.each([
      ['empty', ''],
      ['not JSON', 'garbage'],
      ['cut off', jsonOf(uid).slice(0, -1)],
      ['the document of another order', jsonOf(uidOf(3))],
      ['the beginning of a longer uid', jsonOf(`${uid}0`)],
      ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
      ['a megabyte of zeros', Buffer.alloc(1_000_000)],
    ])('a value that is %s is a miss, and the next put replaces it in its place', async (_, garbage) => {
      using cache = await server.open(3);
      await putOrders(cache, 1, 2, 3);
      await admin.hset(documentsKey, uid, garbage);
      expect(await cache.get(uid)).toBeUndefined();
      await putOrders(cache, 2);
      expect((await cache.get(uid))?.etag).toBe(documentOf(uid).etag);
      expect(await server.queue()).toEqual([1, 2, 3].map(uidOf));
    });

    test('a script that the server has lost is loaded again', async () => {
      using cache = await server.open(3);
      await putOrders(cache, 1);
      await admin.script('FLUSH');
      await putOrders(cache, 2);
      expect(await server.queue()).toEqual([1, 2].map(uidOf));
    });
  });
