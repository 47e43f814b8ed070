import { afterAll, describe, expect, test } from 'bun:test';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import { silent } from '../support/database.ts';
import { documentOf, uidOf } from '../support/lookup-orders.ts';
import { recordingLog } from '../support/recording-log.ts';
import { openCache, putOrders, unhurried } from '../support/redis-cache.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

type Node = Awaited<ReturnType<typeof startRedisServer>>;

if (hasRedisServer)
  describe('the Redis tier on a cluster', async () => {
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

    test('from the URL of one node or of all, it keeps both keys in one slot, in order and within the limit', async () => {
      await owner.admin.flushall();
      using one = await openCache(clusterUrl(other), 3, silent, unhurried);
      using all = await openCache(clusterUrl(...nodes), 3, silent, unhurried);
      await putOrders(one, 1, 2);
      await putOrders(all, 3, 2, 4);
      expect((await one.get(uidOf(4)))?.etag).toBe(documentOf(uidOf(4)).etag);
      expect(await all.get(uidOf(1))).toBeUndefined();
      expect(await one.size()).toBe(3);
      expect(await owner.admin.lrange(queueKey, 0, -1)).toEqual([2, 3, 4].map(uidOf));
    });

    test('with a node without the slot as a single server the circuit opens, and the reason is MOVED', async () => {
      const { log, lines } = recordingLog();
      using cache = await openCache(other.url, 3, log);
      for (let time = 0; time < 5; time++) expect(await cache.get(uidOf(1))).toBeUndefined();
      expect(cache.isBypassed()).toBe(true);
      expect(cache.reason()).toMatch(/MOVED/);
      expect(lines).toHaveLength(1);
    });

    test('when the node of the slot is killed and comes back, lookups go on, and use it again', async () => {
      using cache = await openCache(clusterUrl(...nodes), 3);
      await until(async () => {
        await putOrders(cache, 1);
        return cache.get(uidOf(1));
      });
      await owner.kill();
      let longest = 0;
      await until(async () => {
        const begun = performance.now();
        expect(await cache.get(uidOf(1))).toBeUndefined();
        longest = Math.max(longest, performance.now() - begun);
        return cache.isBypassed();
      });
      // Less than the 2 s after which a silent server counts as down, also on a busy machine.
      expect(longest).toBeLessThan(1_700);
      await owner.start();
      await until(async () => {
        await putOrders(cache, 2);
        return cache.get(uidOf(2));
      });
      expect(cache.isBypassed()).toBe(false);
    }, 90_000);
  });
