/** Redis as production has it: a primary that moves, a user with few rights, protected mode. */
import { describe, expect, setDefaultTimeout } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readableStreamToText } from 'bun';
import Redis from 'ioredis';
import { sentinelName, startRedis, startSentinel } from '../../scripts/services/redis.ts';
import { createRedisCache } from '../../src/lookup/redis-cache.ts';
import { silent } from '../support/database.ts';
import { testFewAtOnce } from '../support/few-at-once.ts';
import { documentOf } from '../support/lookup-orders.ts';
import { unhurried } from '../support/redis-cache.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { startProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(180_000);
const test = testFewAtOnce();

const documentsKey = '{orders}:documents';

let inserted = 0;
/** Puts new orders until one of them is on `server`; resolves with how long that took, in ms. */
const untilInsertedOn = async (cache: ReturnType<typeof createRedisCache>, server: Redis) => {
  const begun = performance.now();
  await until(async () => {
    const uid = `order-${++inserted}`;
    await cache.put(uid, documentOf(uid));
    return (await server.hexists(documentsKey, uid)) === 1;
  }, 30_000);
  return performance.now() - begun;
};

const folder = async () => {
  const path = await mkdtemp(join(tmpdir(), 'redis-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
};

/** The rights that docs/operations.md lists. */
const documentedRights = async () => {
  const text = await Bun.file('docs/operations.md').text();
  const [, rights = ''] = /ACL SETUSER orders on '>PASSWORD' ([^`]+)```/.exec(text) ?? [];
  return rights.replace(/[\\']/g, '').split(/\s+/).filter(Boolean);
};

if (hasRedisServer)
  describe('Redis in production', () => {
    for (const delay of [0, 3_000])
      test(`the primary moves behind one name, which follows after ${delay} ms: the new one is written to within 5 s`, async () => {
        await using old = await startRedisServer();
        await using fresh = await startRedisServer({ replicaof: `127.0.0.1 ${old.port}` });
        let current = old.port;
        await using name = startProxy(() => ({ hostname: '127.0.0.1', port: current }));
        const cache = createRedisCache({ url: `redis://127.0.0.1:${name.port}`, limit: 1000, log: silent });
        await untilInsertedOn(cache, old.admin);
        await until(async () => (await fresh.admin.info('replication')).includes('master_link_status:up'));

        await fresh.admin.replicaof('NO', 'ONE');
        await old.admin.replicaof('127.0.0.1', fresh.port);
        const moved = performance.now();
        // Only new orders: the connection to the old primary stays as it is.
        await until(async () => {
          const uid = `order-${++inserted}`;
          await cache.put(uid, documentOf(uid));
          return performance.now() - moved > delay;
        });
        if (delay > 0) expect(cache.reason()).toBe('it is read-only (READONLY)');
        current = fresh.port;
        expect(await untilInsertedOn(cache, fresh.admin)).toBeLessThan(5_000);
        await until(() => cache.reason() === undefined);
        cache.close();
      });

    test('Sentinels move the primary: the new one is written to within 5 s', async () => {
      await using dir = await folder();
      const at = (name: string) => join(dir.path, name);
      await using stack = new AsyncDisposableStack();
      const started = async <T extends { stop: () => Promise<void> }>(starting: Promise<T>) => {
        const service = await starting;
        stack.defer(service.stop);
        return service;
      };
      const first = await started(startRedis({ dir: at('first') }));
      const second = await started(
        startRedis({ dir: at('second'), more: { replicaof: `127.0.0.1 ${first.port}` } }),
      );
      const sentinels = await Promise.all(
        ['one', 'two'].map((name) => started(startSentinel({ dir: at(name), primary: first.port }))),
      );
      const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`);
      const client = (port: number) => {
        const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 50 });
        redis.on('error', () => {});
        stack.defer(() => redis.disconnect());
        return redis;
      };
      const [watcher, admin] = [client(sentinels[1]?.port ?? 0), client(second.port)];
      // A failover needs the replica, and a quorum of Sentinels that know each other.
      await until(async () => {
        const [state] = [String(await watcher.call('INFO', 'sentinel'))];
        return /slaves=1,sentinels=2/.test(state);
      });
      await until(async () => (await admin.info('replication')).includes('master_link_status:up'));

      // The first of the list is down.
      const url = `redis-sentinel://127.0.0.1:1,${hosts}/${sentinelName}`;
      const cache = createRedisCache({ url, limit: 1000, log: silent });
      await untilInsertedOn(cache, client(first.port));
      await first.kill9();
      await until(async () => {
        const [, port] = (await watcher.call(
          'SENTINEL',
          'GET-MASTER-ADDR-BY-NAME',
          sentinelName,
        )) as string[];
        return Number(port) === second.port;
      }, 30_000);
      expect(await untilInsertedOn(cache, admin)).toBeLessThan(5_000);
      cache.close();

      const unknown = createRedisCache({ url: `redis-sentinel://${hosts}/nobody`, limit: 10, log: silent });
      await until(() => unknown.reason() === 'no Sentinel knows its primary');
      unknown.close();
    });

    test('a user with the documented rights suffices, and needs each of them', async () => {
      await using server = await startRedisServer();
      const { admin } = server;
      await admin.select(1);
      /** Does everything that the cache does, as this user; resolves with the commands that were refused. */
      const refusedWith = async (rights: string[]) => {
        await admin.flushall();
        await admin.script('FLUSH');
        await admin.call('ACL', 'DELUSER', 'orders');
        await admin.call('ACL', 'SETUSER', 'orders', 'on', '>pa55', ...rights);
        await admin.call('ACL', 'LOG', 'RESET');
        const refused = async () => (await admin.call('ACL', 'LOG')) as unknown[];
        const url = `redis://orders:pa55@127.0.0.1:${server.port}/1`;
        const cache = createRedisCache({ url, limit: 3, log: silent, ...unhurried });
        await until(async () => !cache.isBypassed() || (await refused()).length > 0);
        for (const uid of ['order-1', 'order-2', 'order-3', 'order-4']) await cache.put(uid, documentOf(uid));
        await cache.get('order-4');
        await cache.getAll(['order-3', 'order-4']);
        const size = await cache.size();
        await cache.uids().catch(() => {});
        await cache.remove(['order-4']).catch(() => {});
        // A hash and a queue of different lengths are dropped.
        await admin.rpush('{orders}:queue', 'unknown');
        await cache.put('order-5', documentOf('order-5'));
        cache.close();
        return { size, refused: await refused() };
      };
      const rights = await documentedRights();
      expect(await refusedWith(rights)).toEqual({ size: 3, refused: [] });
      const needed = rights.filter((right) => right.startsWith('+'));
      expect(needed.length).toBeGreaterThan(10);
      for (const right of needed) {
        const { refused } = await refusedWith(rights.filter((other) => other !== right));
        expect([right, refused.length > 0]).toEqual([right, true]);
      }
    });

    const [outer] = Object.values(networkInterfaces())
      .flat()
      .filter((address) => address?.family === 'IPv4' && !address.internal);
    if (outer)
      test('protected mode is logged as the reason, and nothing is printed elsewhere', async () => {
        await using server = await startRedisServer({ bind: '0.0.0.0' });
        const source = `
          import { createRedisCache } from '${import.meta.dir}/../../src/lookup/redis-cache.ts';
          import { createLog } from '${import.meta.dir}/../../src/observability/log.ts';
          const cache = createRedisCache({ url: process.argv[1], limit: 10, log: createLog('info', 'test') });
          setTimeout(() => process.exit(), 3_000);`;
        for (const login of ['', ':pa55@']) {
          const url = `redis://${login}${outer.address}:${server.port}`;
          const child = Bun.spawn([process.execPath, '-e', source, url], { stdout: 'pipe', stderr: 'pipe' });
          const [output, errors] = await Promise.all([
            readableStreamToText(child.stdout),
            readableStreamToText(child.stderr),
          ]);
          expect(errors).toBe('');
          const lines = output.trim().split('\n');
          expect(lines.map((line) => JSON.parse(line).reason)).toEqual([
            'its protected mode refuses connections from other hosts (DENIED)',
          ]);
        }
      });
  });
