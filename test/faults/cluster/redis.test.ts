/**
 * The cache is written to again within seconds when the primary of Redis changes, and no order is lost meanwhile; each test
 * prints a row of a table at the end.
 */
import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Redis from 'ioredis';
import { startRedisGroup } from '../../../scripts/services/cluster.ts';
import { sentinelName } from '../../../scripts/services/redis.ts';
import { expectWithin } from '../../support/cluster/report.ts';
import type { Scenario } from '../../support/cluster/scenario.ts';
import { useCluster } from '../../support/cluster/use-cluster.ts';
import { until } from '../../support/until.ts';

const limit = 400_000;
const perSecond = 200;
const writtenWithinMs = 5_000;

const { seed, openScenario } = useCluster();

/** A Redis, its replica and Sentinels, for one test. */
const openGroup = async () => {
  const dir = mkdtempSync(join(import.meta.dir, '../../../.services/faults-redis-'));
  const group = await startRedisGroup(dir);
  const sentinels = `redis-sentinel://${group.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${sentinelName}`;
  const ask = async <T>(port: number, question: (redis: Redis) => Promise<T>): Promise<T> => {
    const redis = new Redis(port, '127.0.0.1', { lazyConnect: true, maxRetriesPerRequest: 0 });
    redis.on('error', () => {});
    return question(redis).finally(() => redis.disconnect());
  };
  const sentinel = group.sentinels[0]?.port as number;
  // A failover is refused before the Sentinels know the replica and each other.
  await until(async () => {
    const known = (await ask(sentinel, (redis) =>
      redis.call('sentinel', 'master', sentinelName),
    )) as string[];
    const value = (name: string) => Number(known[known.indexOf(name) + 1]);
    return value('num-slaves') === 1 && value('num-other-sentinels') === 2;
  }, 60_000);
  const hasRole = (role: 'master' | 'slave', port: number) =>
    ask(port, (redis) => redis.role()).then(
      ([current]) => current === role,
      () => false,
    );
  return {
    ...group,
    url: sentinels,
    ask,
    promoted: () => until(() => hasRole('master', group.replica.port), 60_000),
    /** Sentinels leave the old primary writable for about ten seconds more, before they make it a replica. */
    demoted: () => until(() => hasRole('slave', group.primary.port), 60_000),
    failover: () => ask(sentinel, (redis) => redis.call('sentinel', 'failover', sentinelName)),
    async [Symbol.asyncDispose]() {
      const all = [...group.sentinels, group.primary, group.replica];
      await Promise.all(all.map((service) => service.kill9()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
};

/** Orders are looked up, each once, until one of them is in this Redis. Resolves to the time it took, in ms. */
const writtenAfter = async (scenario: Scenario, url: string, redis: Redis) => {
  const begun = Date.now();
  const uids = await scenario.ask(
    scenario.named,
    (sql) => sql<{ uid: string }[]>`
    select order_uid as uid from orders order by id limit 2000`,
  );
  const asked: string[] = [];
  await until(async () => {
    const uid = uids[asked.length]?.uid as string;
    asked.push(uid);
    expect((await fetch(`${url}/order/${uid}`)).status).toBe(200);
    const recent = asked.slice(-20);
    const found = await redis.hmget('{orders}:documents', ...recent);
    return found.some((document) => document !== null);
  }, 60_000);
  return Date.now() - begun;
};

test(
  'the new primary of Redis is written to within 5 s after a failover behind one name',
  async () => {
    await using group = await openGroup();
    await using scenario = await openScenario({ cache: group, name: 'Redis: failover behind one name' });
    const replica = await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(2_000);
    scenario.watch.reset();
    await group.failover();
    await group.promoted();
    // Open connections stay at the old one, which answers READONLY once it is a replica.
    scenario.pointCacheTo(group.replica.url, { cut: false });
    await group.demoted();
    const ms = await group.ask(group.replica.port, (redis) => writtenAfter(scenario, replica.url, redis));
    const row = await scenario.settle(await feed.stop());
    console.log(`the new primary was written to after ${ms} ms`);
    expectWithin({ ms, late: row.longest.late }, writtenWithinMs);
  },
  limit,
);

test(
  'the new primary of Redis is written to within 5 s after the Sentinels have chosen it',
  async () => {
    await using group = await openGroup();
    await using scenario = await openScenario({ cache: group, name: 'Redis: primary killed, Sentinels' });
    const replica = await scenario.replica({ REDIS_URL: group.url });
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(2_000);
    scenario.watch.reset();
    await group.primary.kill9();
    await group.promoted();
    const ms = await group.ask(group.replica.port, (redis) => writtenAfter(scenario, replica.url, redis));
    const row = await scenario.settle(await feed.stop());
    console.log(`the new primary was written to after ${ms} ms`);
    expectWithin({ ms, late: row.longest.late }, writtenWithinMs);
  },
  limit,
);
