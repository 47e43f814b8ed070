import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import Redis from 'ioredis';
import type { RedisCache } from '../../src/lookup/redis-cache.ts';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import { uidOf } from '../support/lookup-orders.ts';
import { putOrders, startCacheServer, unhurried } from '../support/redis-cache.ts';
import { hasRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

if (hasRedisServer)
  describe('the Redis tier, shared by replicas', async () => {
    const server = await startCacheServer(unhurried);
    const { admin } = server;
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(server.reset);

    test('keeps the order of insertion and the limit at every instant, however many clients put and get', async () => {
      using first = await server.open(7);
      using second = await server.open(7);
      using third = await server.open(7);
      using fourth = await server.open(7);
      const clients = [first, second, third, fourth];
      const observer = new Redis(server.port);
      const monitor = await observer.monitor();
      for (const client of clients) await putOrders(client, 0);
      try {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 60 }), {
              minLength: 4,
              maxLength: 4,
            }),
            async (plans) => {
              await admin.flushdb();
              /** The uids of the inserts, in the order in which the server ran them. */
              const uids: string[] = [];
              let isAllRecorded = false;
              const listen = (_: string, args: string[], source: string) => {
                if (source === 'lua') return;
                if (args[0] === 'evalsha') uids.push(args[5] ?? '');
                if (args[0] === 'echo') isAllRecorded = true;
              };
              monitor.on('monitor', listen);
              let isDone = false;
              const watching = (async () => {
                while (!isDone) {
                  const lengths = await observer.multi().hlen(documentsKey).llen(queueKey).exec();
                  const [documents, queued] = (lengths ?? []).map(([, length]) => Number(length));
                  expect(documents).toBe(queued as number);
                  expect(documents).toBeLessThanOrEqual(7);
                }
              })();
              await Promise.all(
                plans.map(async (plan, index) => {
                  const client = clients[index] as RedisCache;
                  const puts = plan.map((number) =>
                    number % 5 === 0 ? client.get(uidOf(number)) : putOrders(client, number),
                  );
                  await Promise.all(puts);
                }),
              );
              isDone = true;
              await watching;
              await admin.echo('done');
              await until(() => isAllRecorded);
              monitor.off('monitor', listen);

              const model: string[] = [];
              for (const uid of uids) {
                if (model.includes(uid)) continue;
                if (model.push(uid) > 7) model.shift();
              }
              expect(await server.queue()).toEqual(model);
              await server.expectConsistent();
            },
          ),
          { numRuns: 25 },
        );
      } finally {
        monitor.disconnect();
        observer.disconnect();
      }
    });

    test('never holds more than the limit while several replicas warm up', async () => {
      const clients = await Promise.all(Array.from({ length: 5 }, () => server.open(1000)));
      let isDone = false;
      const sizes: number[] = [];
      const watching = (async () => {
        while (!isDone) sizes.push(await admin.hlen(documentsKey), await admin.llen(queueKey));
      })();
      await Promise.all(
        clients.map((client, index) =>
          Promise.all(Array.from({ length: 1500 }, (_, number) => putOrders(client, index * 500 + number))),
        ),
      );
      isDone = true;
      await watching;
      expect(Math.max(...sizes)).toBe(1000);
      expect(await admin.llen(queueKey)).toBe(1000);
      await server.expectConsistent();
      for (const client of clients) client.close();
    });

    test('shrinks to the smallest limit of its clients', async () => {
      using large = await server.open(50);
      using small = await server.open(5);
      await putOrders(large, ...Array.from({ length: 50 }, (_, number) => number));
      await putOrders(small, 100);
      expect(await server.queue()).toEqual([46, 47, 48, 49, 100].map(uidOf));
      await server.expectConsistent();
    });

    test('a cached order keeps no other received bytes in memory', async () => {
      using cache = await server.open(100);
      await putOrders(cache, ...Array.from({ length: 100 }, (_, number) => number));
      const found = await Promise.all(Array.from({ length: 100 }, (_, number) => cache.get(uidOf(number))));
      for (const document of found)
        expect(document?.body.buffer.byteLength).toBe(document?.body.length as number);
    });

    test('an insert costs the server as much with 50,000 orders as with 1,000', async () => {
      const costOf = async (limit: number) => {
        await admin.flushall();
        using cache = await server.open(limit);
        for (let number = 0; number < limit + 1000; number += 1000)
          await Promise.all(Array.from({ length: 1000 }, (_, index) => putOrders(cache, number + index)));
        expect(await cache.size()).toBe(limit);
        await admin.config('RESETSTAT');
        for (let number = 0; number < 1000; number++) await putOrders(cache, 1_000_000 + number);
        const stats = await admin.info('commandstats');
        return Number(/cmdstat_evalsha:.*?usec_per_call=([\d.]+)/.exec(stats)?.[1]);
      };
      const few = await costOf(1_000);
      const many = await costOf(50_000);
      expect(many / few).toBeLessThan(4);
    }, 240_000);
  });
