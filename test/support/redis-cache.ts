/** A Redis server and caches on it, for the tests of the Redis tier. */
import { expect } from 'bun:test';
import { createRedisCache, type RedisCache } from '../../src/lookup/redis-cache.ts';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import type { Log } from '../../src/observability/log.ts';
import { silent } from './database.ts';
import { documentOf, uidOf } from './lookup-orders.ts';
import { startRedisServer } from './redis-server.ts';
import { until } from './until.ts';

/** For tests of what the cache holds: a busy machine must not make an answer late. */
export const unhurried = { readTimeoutMs: 10_000, insertTimeoutMs: 10_000 };

/** A connected cache. */
export const openCache = async (url: string, limit: number, log: Log = silent, timeouts = {}) => {
  const cache = createRedisCache({ url, limit, log, ...timeouts });
  await until(() => !cache.isBypassed());
  return Object.assign(cache, { [Symbol.dispose]: cache.close });
};

export const putOrders = async (cache: RedisCache, ...numbers: number[]) => {
  for (const number of numbers) await cache.put(uidOf(number), documentOf(uidOf(number)));
};

export const startCacheServer = async (timeouts = {}) => {
  const server = await startRedisServer({ 'enable-debug-command': 'yes' });
  const { admin } = server;
  const queue = () => admin.lrange(queueKey, 0, -1);
  return Object.assign(server, {
    open: (limit: number, log?: Log) => openCache(server.url, limit, log, timeouts),
    /** The uids in the order of insertion. */
    queue,
    async expectConsistent() {
      const [uids, fields] = [await queue(), await admin.hkeys(documentsKey)];
      expect(uids.toSorted()).toEqual(fields.toSorted());
    },
    /** Empty, without a limit of memory, and a primary. */
    async reset() {
      await admin.replicaof('NO', 'ONE');
      await admin.config('SET', 'maxmemory', '0');
      await admin.flushall();
    },
  });
};
