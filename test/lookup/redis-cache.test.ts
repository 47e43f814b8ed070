import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import Redis from 'ioredis';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { createRedisCache, type RedisCache } from '../../src/lookup/redis-cache.ts';
import type { Log } from '../../src/observability/log.ts';
import { encodeOrder } from '../../src/order/encoded-order.ts';
import { silent } from '../support/database.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const documentsKey = '{orders}:documents';
const queueKey = '{orders}:queue';

const uidOf = (number: number) => `order-${String(number).padStart(6, '0')}`;
const jsonOf = (uid: string) => `{"order_uid":"${uid}","padding":"${'x'.repeat(500)}"}`;
const documentOf = (uid: string) => encodeOrder(jsonOf(uid));

/** A log that keeps what was said, as [level, text, reason]. */
const keepingLog = () => {
  const lines: [string, string, unknown][] = [];
  const keep = (level: string) => (fields: unknown, text?: string) =>
    lines.push([level, text ?? '', (fields as { reason?: unknown })?.reason]);
  const log = { debug() {}, info: keep('info'), warn: keep('warn'), error: keep('error') } as unknown as Log;
  return { log, lines };
};

type Node = Awaited<ReturnType<typeof startRedisServer>>;

if (hasRedisServer)
  describe('the Redis tier', async () => {
    const server = await startRedisServer({ 'enable-debug-command': 'yes' });
    const { admin } = server;
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(async () => {
      await admin.config('SET', 'maxmemory', '0');
      await admin.flushall();
    });

    const open = async (
      limit: number,
      { url = server.url, log = silent }: { url?: string; log?: Log } = {},
    ) => {
      const cache = createRedisCache({ url, limit, log });
      await until(() => !cache.isBypassed());
      return Object.assign(cache, { [Symbol.dispose]: cache.close });
    };
    const put = async (cache: RedisCache, ...numbers: number[]) => {
      for (const number of numbers) await cache.put(uidOf(number), documentOf(uidOf(number)));
    };
    const queue = () => admin.lrange(queueKey, 0, -1);
    const isConsistent = async () => {
      const [uids, fields] = [await queue(), await admin.hkeys(documentsKey)];
      expect(uids.toSorted()).toEqual(fields.toSorted());
    };

    describe('shared by replicas', () => {
      test('keeps the order of entry and the limit at every instant, however many clients put and get', async () => {
        using first = await open(7);
        using second = await open(7);
        using third = await open(7);
        using fourth = await open(7);
        const clients = [first, second, third, fourth];
        const observer = new Redis(server.port);
        const monitor = await observer.monitor();
        for (const client of clients) await put(client, 0);
        try {
          await fc.assert(
            fc.asyncProperty(
              fc.array(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 60 }), {
                minLength: 4,
                maxLength: 4,
              }),
              async (plans) => {
                await admin.flushdb();
                /** What the server was asked, in its own order. */
                const asked: string[] = [];
                let isAllAsked = false;
                const listen = (_: string, args: string[], source: string) => {
                  if (source === 'lua') return;
                  if (args[0] === 'evalsha') asked.push(args[5] ?? '');
                  if (args[0] === 'echo') isAllAsked = true;
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
                      number % 5 === 0 ? client.get(uidOf(number)) : put(client, number),
                    );
                    await Promise.all(puts);
                  }),
                );
                isDone = true;
                await watching;
                await admin.echo('done');
                await until(() => isAllAsked);
                monitor.off('monitor', listen);

                const model: string[] = [];
                for (const uid of asked) {
                  if (model.includes(uid)) continue;
                  if (model.push(uid) > 7) model.shift();
                }
                expect(await queue()).toEqual(model);
                await isConsistent();
              },
            ),
            { numRuns: 25 },
          );
        } finally {
          monitor.disconnect();
          observer.disconnect();
        }
      });

      test('never holds more than the limit when several warm up at once', async () => {
        const clients = await Promise.all(Array.from({ length: 5 }, () => open(1000)));
        let isDone = false;
        const sizes: number[] = [];
        const watching = (async () => {
          while (!isDone) sizes.push(await admin.hlen(documentsKey), await admin.llen(queueKey));
        })();
        await Promise.all(
          clients.map((client, index) =>
            Promise.all(Array.from({ length: 1500 }, (_, number) => put(client, index * 500 + number))),
          ),
        );
        isDone = true;
        await watching;
        expect(Math.max(...sizes)).toBe(1000);
        expect(await admin.llen(queueKey)).toBe(1000);
        await isConsistent();
        for (const client of clients) client.close();
      });

      test('with different limits comes down to the smaller one', async () => {
        using large = await open(50);
        using small = await open(5);
        await put(large, ...Array.from({ length: 50 }, (_, number) => number));
        await put(small, 100);
        expect(await queue()).toEqual([46, 47, 48, 49, 100].map(uidOf));
        await isConsistent();
      });

      test('a document read does not keep the bytes that came with it', async () => {
        using cache = await open(100);
        await put(cache, ...Array.from({ length: 100 }, (_, number) => number));
        const found = await Promise.all(Array.from({ length: 100 }, (_, number) => cache.get(uidOf(number))));
        for (const document of found)
          expect(document?.body.buffer.byteLength).toBe(document?.body.length as number);
      });
    });

    test('putting costs the server as much with 50,000 orders as with 1,000', async () => {
      const costOf = async (limit: number) => {
        await admin.flushall();
        using cache = await open(limit);
        for (let number = 0; number < limit + 1000; number += 1000)
          await Promise.all(Array.from({ length: 1000 }, (_, index) => put(cache, number + index)));
        expect(await cache.size()).toBe(limit);
        await admin.config('RESETSTAT');
        for (let number = 0; number < 1000; number++) await put(cache, 1_000_000 + number);
        const stats = await admin.info('commandstats');
        return Number(/cmdstat_evalsha:.*?usec_per_call=([\d.]+)/.exec(stats)?.[1]);
      };
      const few = await costOf(1_000);
      const many = await costOf(50_000);
      expect(many / few).toBeLessThan(4);
    }, 60_000);

    describe('repairs itself', () => {
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
        'there is a document too many': () => admin.hset(documentsKey, 'stranger', '{}'),
        'a uid is missing in the queue': () => admin.lpop(queueKey),
        'there is a uid too many in the queue': () => admin.lpush(queueKey, 'stranger'),
        'there are a hundred thousand uids too many': () =>
          admin.eval(`for i = 1, 100000 do redis.call('RPUSH', KEYS[1], i) end`, 1, queueKey),
        'a stranger is in both': async () => {
          await admin.lpush(queueKey, 'stranger');
          await admin.hset(documentsKey, 'stranger', 'garbage');
        },
        'a uid of the queue is another': () => admin.lset(queueKey, 1, 'stranger'),
        'a uid stands twice in the queue': () => admin.lset(queueKey, 1, uidOf(1)),
      };
      test.each(Object.entries(damages))('when %s', async (_, damage) => {
        using cache = await open(3);
        await put(cache, 1, 2, 3);
        await damage();
        await cache.get(uidOf(1));
        // At the latest when each of what was in has had its turn to leave.
        await put(cache, 4, 5, 6, 7);
        expect(await queue()).toEqual((await queue()).slice(-3));
        await isConsistent();
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
      ])(
        'a value that is %s is not answered, and the next put replaces it in its place',
        async (_, garbage) => {
          using cache = await open(3);
          await put(cache, 1, 2, 3);
          await admin.hset(documentsKey, uid, garbage);
          expect(await cache.get(uid)).toBeUndefined();
          await put(cache, 2);
          expect((await cache.get(uid))?.etag).toBe(documentOf(uid).etag);
          expect(await queue()).toEqual([1, 2, 3].map(uidOf));
        },
      );

      test('a server whose scripts were lost learns them again', async () => {
        using cache = await open(3);
        await put(cache, 1);
        await admin.script('FLUSH');
        await put(cache, 2);
        expect(await queue()).toEqual([1, 2].map(uidOf));
      });
    });

    describe('on a cluster', async () => {
      const nodes = await Promise.all(
        [0, 1, 2].map(() =>
          startRedisServer({
            'cluster-enabled': 'yes',
            'cluster-node-timeout': '1000',
            'cluster-require-full-coverage': 'no',
          }),
        ),
      );
      afterAll(() => Promise.all(nodes.map((node) => node[Symbol.asyncDispose]())));
      const [first, second, third] = nodes as [Node, Node, Node];
      await first.admin.cluster('ADDSLOTSRANGE', 0, 5460);
      await second.admin.cluster('ADDSLOTSRANGE', 5461, 10922);
      await third.admin.cluster('ADDSLOTSRANGE', 10923, 16383);
      await first.admin.cluster('MEET', '127.0.0.1', second.port);
      await first.admin.cluster('MEET', '127.0.0.1', third.port);
      for (const { admin: node } of nodes)
        await until(async () => {
          const state = String(await node.cluster('INFO'));
          return (
            /cluster_state:ok/.test(state) &&
            /cluster_known_nodes:3/.test(state) &&
            /slots_ok:16384/.test(state)
          );
        });
      const slot = await first.admin.cluster('KEYSLOT', documentsKey);
      const owner = nodes[Math.floor(Number(slot) / 5461)] as Node;
      const other = nodes.find((node) => node !== owner) as Node;
      const clusterUrl = (...servers: Node[]) =>
        `redis-cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;

      test('named by one server or all, it keeps both keys in one place, in order and within the limit', async () => {
        await owner.admin.flushall();
        using one = await open(3, { url: clusterUrl(other) });
        using all = await open(3, { url: clusterUrl(...nodes) });
        await put(one, 1, 2);
        await put(all, 3, 2, 4);
        expect((await one.get(uidOf(4)))?.etag).toBe(documentOf(uidOf(4)).etag);
        expect(await all.get(uidOf(1))).toBeUndefined();
        expect(await one.size()).toBe(3);
        expect(await owner.admin.lrange(queueKey, 0, -1)).toEqual([2, 3, 4].map(uidOf));
      });

      test('named as a single server that has not our keys, it is left alone, and the reason says so', async () => {
        const { log, lines } = keepingLog();
        using cache = await open(3, { url: other.url, log });
        for (let time = 0; time < 5; time++) expect(await cache.get(uidOf(1))).toBeUndefined();
        expect(cache.isBypassed()).toBe(true);
        expect(cache.reason()).toMatch(/MOVED/);
        expect(lines).toHaveLength(1);
      });

      test('when the server of our keys is killed and comes back, lookups go on, and use it again', async () => {
        using cache = await open(3, { url: clusterUrl(...nodes) });
        await put(cache, 1);
        expect(await cache.get(uidOf(1))).toBeDefined();
        await owner.kill();
        let longest = 0;
        await until(async () => {
          const begun = performance.now();
          expect(await cache.get(uidOf(1))).toBeUndefined();
          longest = Math.max(longest, performance.now() - begun);
          return cache.isBypassed();
        });
        expect(longest).toBeLessThan(100);
        await owner.start();
        await until(async () => {
          await put(cache, 2);
          return cache.get(uidOf(2));
        }, 25_000);
        expect(cache.isBypassed()).toBe(false);
      }, 40_000);
    });

    describe('in trouble', () => {
      /** A lookup whose PostgreSQL answers at once, with every order. */
      const openLookup = (cache: RedisCache, limit = 1) =>
        createLookup({
          memory: createMemoryCache(limit),
          redis: cache,
          store: { find: async (uid) => jsonOf(uid) },
        });
      let next = 0;

      /** Looks orders up, each another one, until `isEnough`; all must be found, and none may take long. */
      const lookUp = async (
        lookup: ReturnType<typeof openLookup>,
        isEnough: (bypassed: boolean, hit: boolean) => boolean,
        uidFor = () => uidOf(++next),
      ) => {
        let count = 0;
        let slow = 0;
        for (const deadline = Date.now() + 20_000; ; ) {
          const begun = performance.now();
          const uid = uidFor();
          const { document, steps } = await lookup.find(uid);
          expect(Buffer.from(document?.body ?? []).toString()).toBe(jsonOf(uid));
          count++;
          // On a busy machine a timer may come late, once in a while.
          if (performance.now() - begun > 100) slow++;
          expect(slow).toBeLessThanOrEqual(1 + count / 50);
          const step = steps.find(({ tier }) => tier === 'redis');
          if (isEnough(step?.bypassed === true, step?.hit === true)) return;
          if (Date.now() > deadline) throw new Error('not in time');
          await Bun.sleep(1);
        }
      };
      const hit = (_: boolean, isHit: boolean) => isHit;
      let turn = 0;
      /** Two uids in turn: with a memory tier of one, each is asked of Redis. */
      const inTurn = () => uidOf(900_000 + (++turn % 2));

      type Fault = { begin: () => unknown; end: () => unknown; reason: RegExp };
      const faults: Record<string, Fault> = {
        killed: { begin: server.kill, end: server.start, reason: /ECONNREFUSED|failed to connect/i },
        frozen: { begin: server.freeze, end: server.thaw, reason: /no answer|timed? ?out|timeout|Stream/i },
        'slow, by 500 ms (CLIENT PAUSE)': {
          begin: () => admin.client('PAUSE', 500, 'ALL'),
          end: () => {},
          reason: /no answer/,
        },
        'slow, by 500 ms (DEBUG SLEEP)': {
          begin: () => {
            admin.call('DEBUG', 'SLEEP', '0.5').catch(() => {});
          },
          end: () => {},
          reason: /no answer/,
        },
        'asking for a password all at once': {
          begin: async () => {
            await admin.config('SET', 'requirepass', 'secret');
            await admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
          },
          end: async () => {
            const owner = new Redis(server.port, { password: 'secret' });
            await owner.config('SET', 'requirepass', '');
            owner.disconnect();
          },
          reason: /NOAUTH/,
        },
      };
      for (const [name, { begin, end, reason }] of Object.entries(faults))
        test(`${name}: lookups go on without it, and with it again`, async () => {
          const { log, lines } = keepingLog();
          using cache = await open(1000, { log });
          const lookup = openLookup(cache);
          await lookUp(lookup, hit, inTurn);
          await begin();
          await lookUp(lookup, (isBypassed) => isBypassed && reason.test(cache.reason() ?? ''));
          expect(cache.isBypassed()).toBe(true);
          await end();
          await lookUp(lookup, hit, inTurn);
          expect(cache.isBypassed()).toBe(false);
          expect(lines.filter(([level]) => level === 'warn')).toHaveLength(1);
          await until(() => cache.reason() === undefined);
          expect(lines.length).toBeLessThanOrEqual(2);
        }, 30_000);

      test('down at the start: lookups go on, and Redis is used once it is there', async () => {
        const { log, lines } = keepingLog();
        await server.kill();
        const cache = createRedisCache({ url: server.url, limit: 1000, log });
        const lookup = openLookup(cache);
        await lookUp(lookup, (isBypassed) => isBypassed && /ECONNREFUSED/.test(cache.reason() ?? ''));
        await server.start();
        await lookUp(lookup, hit, inTurn);
        expect(cache.reason()).toBeUndefined();
        expect(lines.map(([level]) => level)).toEqual(['warn', 'info']);
        cache.close();
      }, 30_000);

      test('frozen for long: it is given up, connected to anew, and not waited for meanwhile', async () => {
        const { log, lines } = keepingLog();
        using cache = await open(1000, { log });
        const lookup = openLookup(cache);
        await lookUp(lookup, hit, inTurn);
        server.freeze();
        const begun = Date.now();
        let asked = 0;
        let all = 0;
        await lookUp(lookup, (isBypassed) => {
          all++;
          if (!isBypassed) asked++;
          return Date.now() - begun > 5_000;
        });
        // Three failures, and hardly a question in five seconds.
        expect(asked).toBeLessThan(10);
        expect(all).toBeGreaterThan(500);
        server.thaw();
        await lookUp(lookup, hit, inTurn);
        // No answer; no connection in time; well again.
        expect(lines.length).toBeLessThanOrEqual(3);
      }, 30_000);

      test('many lookups that fail together count as few: it is asked again after half a second, not ten', async () => {
        using cache = await open(1000);
        await admin.client('PAUSE', 300, 'ALL');
        const begun = performance.now();
        await Promise.all(Array.from({ length: 256 }, (_, number) => cache.get(uidOf(number))));
        expect(performance.now() - begun).toBeLessThan(150);
        expect(cache.isBypassed()).toBe(true);
        await until(() => !cache.isBypassed());
        expect(performance.now() - begun).toBeLessThan(1_500);
      });

      test('after the pause one lookup tries, and the others do not wait for it', async () => {
        using cache = await open(1000);
        server.freeze();
        await Promise.all([1, 2, 3].map((number) => cache.get(uidOf(number))));
        await until(() => !cache.isBypassed());
        const probe = cache.get(uidOf(4));
        expect(cache.isBypassed()).toBe(true);
        const begun = performance.now();
        await Promise.all(Array.from({ length: 100 }, () => cache.get(uidOf(5))));
        expect(performance.now() - begun).toBeLessThan(20);
        await probe;
        server.thaw();
      });

      type Refusal = Fault & { isLeft?: true };
      const refusals: Record<string, Refusal> = {
        'full (maxmemory with noeviction)': {
          begin: async () => {
            await admin.config('SET', 'maxmemory-policy', 'noeviction');
            await admin.config('SET', 'maxmemory', '1');
          },
          end: () => admin.config('SET', 'maxmemory', '0'),
          reason: /OOM/,
        },
        'read-only': {
          begin: async () => {
            // A replica of nobody: it has what it had, and takes nothing new.
            await admin.config('SET', 'replica-serve-stale-data', 'yes');
            await admin.replicaof('127.0.0.1', 1);
          },
          end: () => admin.replicaof('NO', 'ONE'),
          reason: /READONLY/,
          // It is connected to anew now and then, as its name may lead to the primary by then.
          isLeft: true,
        },
      };
      for (const [name, { begin, end, reason, isLeft = false }] of Object.entries(refusals))
        test(`${name}: what it holds is answered from it, what it refuses is found all the same, and said once`, async () => {
          const { log, lines } = keepingLog();
          using cache = await open(1000, { log });
          const lookup = openLookup(cache);
          await lookUp(lookup, hit, inTurn);
          const [one, two] = [inTurn(), inTurn()];
          await until(async () => (await cache.get(one)) && (await cache.get(two)));
          const size = await cache.size();
          await begin();
          try {
            const begun = Date.now();
            let hits = 0;
            let count = 0;
            // Old ones, which it holds, and new ones, which it refuses, for a while.
            await lookUp(
              lookup,
              (isBypassed, isHit) => {
                expect(isBypassed && !isLeft).toBe(false);
                if (isHit) hits++;
                return Date.now() - begun > 3_000;
              },
              () => (++count % 2 === 0 ? uidOf(++next) : inTurn()),
            );
            expect(hits).toBeGreaterThan(100);
            // While it connects anew for another primary, that is the reason.
            await until(async () => {
              await put(cache, ++next);
              return cache.reason()?.match(reason);
            });
            expect(await cache.size()).toBe(size as number);
            expect(lines.map(([level]) => level)).toEqual(['warn']);
          } finally {
            // Whatever happened: the next test has the same Redis.
            await end();
          }
          await isConsistent();
          await until(async () => {
            await put(cache, ++next);
            return cache.reason() === undefined;
          });
          expect(lines.map(([level]) => level)).toEqual(['warn', 'info']);
        }, 30_000);

      test('full while it lets the oldest go: the hash and the queue stay of one length', async () => {
        using cache = await open(3);
        await put(cache, 1, 2, 3);
        await admin.config('SET', 'maxmemory', '1');
        await put(cache, 4, 5);
        await isConsistent();
        expect(await admin.llen(queueKey)).toBe(3);
      });

      test('another type under our key: the lookup after the next is a hit', async () => {
        const { log, lines } = keepingLog();
        using cache = await open(1000, { log });
        const lookup = openLookup(cache);
        await admin.set(documentsKey, 'x');
        await admin.set(queueKey, 'x');
        await lookUp(lookup, hit, inTurn);
        expect(cache.isBypassed()).toBe(false);
        expect(lines).toEqual([]);
      });

      test('with the wrong password: lookups go on, the reason names no password, and it is said once', async () => {
        const { log, lines } = keepingLog();
        await using guarded = await startRedisServer({ requirepass: 'right' });
        const cache = createRedisCache({ url: guarded.url.replace('//', '//:wr0ng-pa55@'), limit: 10, log });
        const lookup = openLookup(cache);
        await until(() => /WRONGPASS/.test(cache.reason() ?? ''));
        const begun = Date.now();
        await lookUp(lookup, (isBypassed) => {
          expect(isBypassed).toBe(true);
          return Date.now() - begun > 1_500;
        });
        expect(cache.reason()).toMatch(/WRONGPASS/);
        expect(JSON.stringify(lines)).not.toContain('wr0ng-pa55');
        expect(lines).toHaveLength(1);
        cache.close();
      });

      test('with a password that is right, and with a database of its own', async () => {
        await using guarded = await startRedisServer({ requirepass: 'r,i@g/ht' });
        const url = `redis://:${encodeURIComponent('r,i@g/ht')}@127.0.0.1:${guarded.port}/3`;
        using cache = await open(10, { url });
        await put(cache, 1);
        await guarded.admin.select(3);
        expect(await guarded.admin.hlen(documentsKey)).toBe(1);
      });

      test('neither rejects after it was closed', async () => {
        const cache = await open(10);
        cache.close();
        expect(await cache.get(uidOf(1))).toBeUndefined();
        expect(await cache.size()).toBeUndefined();
        await put(cache, 1);
        await until(() => cache.isBypassed());
      });

      test('calls back each time it is reached anew', async () => {
        using cache = await open(10);
        let reached = 0;
        cache.onReached(() => reached++);
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await until(() => reached === 1);
        await server.kill();
        await server.start();
        await until(() => reached === 2);
      });
    });
  });
