import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import Redis from 'ioredis';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { createRedisCache, type RedisCache } from '../../src/lookup/redis-cache.ts';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import { silent } from '../support/database.ts';
import { jsonOf, storeOf, uidOf } from '../support/lookup-orders.ts';
import { recordingLog } from '../support/recording-log.ts';
import { openCache, putOrders, startCacheServer, unhurried } from '../support/redis-cache.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

/** Longer than those of the program, as on a busy machine an answer takes 50 ms now and then. */
const timeouts = { readTimeoutMs: 300, insertTimeoutMs: 9_000 };

if (hasRedisServer)
  describe('the Redis tier, when Redis fails', async () => {
    const server = await startCacheServer(timeouts);
    const { admin } = server;
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(server.reset);

    /** A lookup whose PostgreSQL has every order and answers at once. */
    const openLookup = (cache: RedisCache, limit = 1) =>
      createLookup({
        memory: createMemoryCache(limit),
        redis: cache,
        store: storeOf(async (uid) => jsonOf(uid)),
      });
    let next = 0;

    /** Looks up one order after another, until `isDone`; each must be found, and none may take long. */
    const lookUp = async (
      lookup: ReturnType<typeof openLookup>,
      isDone: (bypassed: boolean, hit: boolean) => boolean,
      uidFor = () => uidOf(++next),
    ) => {
      let count = 0;
      let slow = 0;
      for (const deadline = Date.now() + 60_000; ; ) {
        const begun = performance.now();
        const uid = uidFor();
        const { document, steps } = await lookup.find(uid);
        expect(Buffer.from(document?.body ?? []).toString()).toBe(jsonOf(uid));
        count++;
        // On a busy machine a timer is late now and then.
        if (performance.now() - begun > 1_000) slow++;
        expect(slow).toBeLessThanOrEqual(1 + count / 50);
        const step = steps.find(({ tier }) => tier === 'redis');
        if (isDone(step?.bypassed === true, step?.hit === true)) return;
        if (Date.now() > deadline) throw new Error('not in time');
        await Bun.sleep(1);
      }
    };
    const hit = (_: boolean, isHit: boolean) => isHit;
    let turn = 0;
    /** Two uids by turns: with a memory tier of one order, each lookup reads Redis. */
    const alternating = () => uidOf(900_000 + (++turn % 2));

    type Fault = { begin: () => unknown; end: () => unknown; reason: RegExp };
    const faults: Record<string, Fault> = {
      killed: { begin: server.kill, end: server.start, reason: /ECONNREFUSED|failed to connect/i },
      frozen: { begin: server.freeze, end: server.thaw, reason: /no answer|timed? ?out|timeout|Stream/i },
      'slow, by 1.5 s (CLIENT PAUSE)': {
        begin: () => admin.client('PAUSE', 1_500, 'ALL'),
        end: () => {},
        reason: /no answer/,
      },
      'slow, by 1.5 s (DEBUG SLEEP)': {
        begin: () => {
          admin.call('DEBUG', 'SLEEP', '1.5').catch(() => {});
        },
        end: () => {},
        reason: /no answer/,
      },
      'suddenly protected by a password': {
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
      test(`${name}: lookups go on without Redis, and use it again afterwards`, async () => {
        const { log, lines } = recordingLog();
        using cache = await server.open(1000, log);
        const lookup = openLookup(cache);
        await lookUp(lookup, hit, alternating);
        await begin();
        await lookUp(lookup, (isBypassed) => isBypassed && reason.test(cache.reason() ?? ''));
        expect(cache.isBypassed()).toBe(true);
        await end();
        await lookUp(lookup, hit, alternating);
        expect(cache.isBypassed()).toBe(false);
        expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
        await until(() => cache.reason() === undefined);
        expect(lines.length).toBeLessThanOrEqual(2);
      }, 120_000);

    test('down at the start: lookups go on, and use Redis once it is up', async () => {
      const { log, levels } = recordingLog();
      await server.kill();
      const cache = createRedisCache({ url: server.url, limit: 1000, log, ...timeouts });
      const lookup = openLookup(cache);
      await lookUp(lookup, (isBypassed) => isBypassed && /ECONNREFUSED/.test(cache.reason() ?? ''));
      await server.start();
      await lookUp(lookup, hit, alternating);
      expect(cache.reason()).toBeUndefined();
      expect(levels()).toEqual(['warn', 'info']);
      cache.close();
    }, 120_000);

    test('frozen for long: the client reconnects, and lookups do not wait meanwhile', async () => {
      const { log, lines } = recordingLog();
      using cache = await server.open(1000, log);
      const lookup = openLookup(cache);
      await lookUp(lookup, hit, alternating);
      server.freeze();
      const begun = Date.now();
      let reads = 0;
      let all = 0;
      await lookUp(lookup, (isBypassed) => {
        all++;
        if (!isBypassed) reads++;
        return Date.now() - begun > 5_000;
      });
      // Three failures, and few trials in five seconds.
      expect(reads).toBeLessThan(10);
      expect(all).toBeGreaterThan(100);
      server.thaw();
      await lookUp(lookup, hit, alternating);
      // No answer; connect timeout; up again.
      expect(lines.length).toBeLessThanOrEqual(3);
    }, 120_000);

    test('concurrent lookups that fail open the circuit once: for half a second, not ten', async () => {
      using cache = await server.open(1000);
      await admin.client('PAUSE', 4_000, 'ALL');
      const begun = performance.now();
      const reads: unknown[] = [];
      for (let number = 0; number < 256; number++) {
        reads.push(cache.get(uidOf(number)));
        if (number % 64 === 63) await new Promise(setImmediate);
      }
      await Promise.all(reads);
      // 300 ms, and what a busy machine may add; not until Redis answers.
      expect(performance.now() - begun).toBeLessThan(3_000);
      expect(cache.isBypassed()).toBe(true);
      await until(() => !cache.isBypassed());
      expect(performance.now() - begun).toBeLessThan(6_000);
      await admin.ping();
    });

    test('while half-open one lookup reads Redis, and the others do not wait for it', async () => {
      using cache = await server.open(1000);
      server.freeze();
      // Those of one turn would be one command, and one failure.
      for (const number of [1, 2, 3]) await cache.get(uidOf(number));
      await until(() => !cache.isBypassed());
      const trial = cache.get(uidOf(4));
      expect(cache.isBypassed()).toBe(true);
      let isOver = false;
      const settled = Promise.resolve(trial).then(() => {
        isOver = true;
      });
      await Promise.all(Array.from({ length: 100 }, () => cache.get(uidOf(5))));
      expect(isOver).toBe(false);
      await settled;
      server.thaw();
    });

    type Refusal = Fault & { reconnects?: true };
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
          // A replica whose primary is away: it keeps its data, and is read-only.
          await admin.config('SET', 'replica-serve-stale-data', 'yes');
          await admin.replicaof('127.0.0.1', 1);
        },
        end: () => admin.replicaof('NO', 'ONE'),
        reason: /READONLY/,
        // The client reconnects now and then, as the name may lead to the primary by then.
        reconnects: true,
      },
    };
    for (const [name, { begin, end, reason, reconnects = false }] of Object.entries(refusals))
      test(`${name}: reads go on, orders that it refuses are found in PostgreSQL, and the reason is logged once`, async () => {
        const { log, lines } = recordingLog();
        const logged = (why: RegExp) =>
          lines.filter(({ fields }) => why.test(String(fields.reason))).map(({ level }) => level);
        // A refusal comes at once; a late answer would be another reason.
        using cache = await openCache(server.url, 1000, log, unhurried);
        const lookup = openLookup(cache);
        await lookUp(lookup, hit, alternating);
        const [one, two] = [alternating(), alternating()];
        await until(async () => (await cache.get(one)) && (await cache.get(two)));
        const size = await cache.size();
        await begin();
        try {
          const begun = Date.now();
          let hits = 0;
          let count = 0;
          // Orders that it holds and orders that it refuses, by turns.
          await lookUp(
            lookup,
            (isBypassed, isHit) => {
              expect(isBypassed && !reconnects).toBe(false);
              if (isHit) hits++;
              return Date.now() - begun > 3_000;
            },
            () => (++count % 2 === 0 ? uidOf(++next) : alternating()),
          );
          expect(hits).toBeGreaterThan(100);
          // While the client reconnects the reason is another one.
          await until(async () => {
            await putOrders(cache, ++next);
            return cache.reason()?.match(reason);
          });
          expect(await cache.size()).toBe(size as number);
          expect(logged(reason)).toEqual(['warn']);
          // A client that reconnects slowly, as on a busy machine, is a reason of its own.
          if (!reconnects) expect(lines).toHaveLength(1);
        } finally {
          // The next test has the same Redis.
          await end();
        }
        await server.expectConsistent();
        await until(async () => {
          await putOrders(cache, ++next);
          return cache.reason() === undefined;
        });
        expect(lines.filter(({ text }) => text === 'Redis is available again')).toHaveLength(1);
        expect(logged(reason)).toEqual(['warn']);
      }, 120_000);

    test('full during an eviction: the hash and the queue keep the same length', async () => {
      using cache = await server.open(3);
      await putOrders(cache, 1, 2, 3);
      await admin.config('SET', 'maxmemory', '1');
      await putOrders(cache, 4, 5);
      await server.expectConsistent();
      expect(await admin.llen(queueKey)).toBe(3);
    });

    test('another type under its keys: lookups hit again without a log line', async () => {
      const { log, lines } = recordingLog();
      using cache = await server.open(1000, log);
      const lookup = openLookup(cache);
      await admin.set(documentsKey, 'x');
      await admin.set(queueKey, 'x');
      await lookUp(lookup, hit, alternating);
      expect(cache.isBypassed()).toBe(false);
      expect(lines).toEqual([]);
    });

    test('with the wrong password: lookups go on, and the reason is logged once, without the password', async () => {
      const { log, lines } = recordingLog();
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

    test('connects with a password and to a database by number', async () => {
      await using guarded = await startRedisServer({ requirepass: 'r,i@g/ht' });
      const url = `redis://:${encodeURIComponent('r,i@g/ht')}@127.0.0.1:${guarded.port}/3`;
      using cache = await openCache(url, 10, silent, unhurried);
      await putOrders(cache, 1);
      await guarded.admin.select(3);
      expect(await guarded.admin.hlen(documentsKey)).toBe(1);
    });

    test('neither rejects nor answers after it was closed', async () => {
      const cache = await server.open(10);
      cache.close();
      expect(await cache.get(uidOf(1))).toBeUndefined();
      expect(await cache.size()).toBeUndefined();
      await putOrders(cache, 1);
      await until(() => cache.isBypassed());
    });

    test('calls back each time it connects', async () => {
      using cache = await server.open(10);
      let connects = 0;
      cache.onConnected(() => connects++);
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await until(() => connects === 1);
      await server.kill();
      await server.start();
      await until(() => connects === 2);
    });
  });
