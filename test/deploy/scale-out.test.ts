/** Three processes of the program on one database, one group and one Redis, behind the proxy of the compose file. */
import { expect } from 'bun:test';
import pLimit from 'p-limit';
import { type Program, startProgram } from '../program.ts';
import { hasRedisServer, startRedisServer } from '../redis-server.ts';
import { testWith } from '../test-with.ts';
import { until } from '../until.ts';
import { openWorld, ordersOf } from '../world.ts';
import { freePort, hasProxy, startProxy } from './proxy.ts';

const partitions = 8;
const cacheLimit = 1_000;
const hosts = ['127.0.4.1', '127.0.4.2', '127.0.4.3'];

/** What each has, by what it said when it last joined. */
const sharesOf = (replicas: Program[]) =>
  replicas.map((replica) => {
    const line = replica.lines().findLast(({ msg }) => msg === 'joined the group');
    return (line?.partitions ?? []) as number[];
  });

/** Each has some, no two have the same, and together they have all. */
const isShared = (shares: number[][]) => {
  const all = shares.flat();
  return (
    shares.every(({ length }) => length > 0) && all.length === partitions && new Set(all).size === partitions
  );
};

/** The most that was ever seen in Redis, looked at without pause. */
const watchCache = (redis: Awaited<ReturnType<typeof startRedisServer>>) => {
  let most = 0;
  let watching = true;
  const watch = async () => {
    while (watching) {
      const counts = await redis.admin.multi().hlen('{orders}:documents').llen('{orders}:queue').exec();
      most = Math.max(most, ...(counts ?? []).map(([, count]) => Number(count)));
    }
  };
  const watched = watch();
  const stop = async () => {
    watching = false;
    await watched;
    return most;
  };
  return { stop, [Symbol.asyncDispose]: async () => void (await stop()) };
};

/** Looks up one after another until it is stopped; resolves with the statuses that were not 200. */
const lookUpWithoutPause = (url: string, uids: string[]) => {
  const others: number[] = [];
  let asked = 0;
  let asking = true;
  const ask = async () => {
    while (asking) {
      const { status } = await fetch(`${url}/order/${uids[asked++ % uids.length]}`);
      if (status !== 200) others.push(status);
    }
  };
  const done = ask();
  const stop = async () => {
    asking = false;
    await done;
    return { asked, others };
  };
  return { stop, [Symbol.asyncDispose]: async () => void (await stop()) };
};

testWith(hasRedisServer && hasProxy, 'redis-server and haproxy')(
  'three replicas share the partitions, one migrates, the cache keeps its limit; one is killed: the others take over, and no lookup fails',
  async () => {
    await using world = await openWorld();
    await using redis = await startRedisServer();
    const port = freePort();
    const start = (HOST: string) =>
      startProgram({
        ...world.environment,
        KAFKA_PARTITIONS: String(partitions),
        REDIS_URL: redis.url,
        RATE_LIMIT: '0',
        HOST,
        PORT: String(port),
      });
    await using first = start(hosts[0] as string);
    await using second = start(hosts[1] as string);
    await using third = start(hosts[2] as string);
    const replicas = [first, second, third];
    await using cache = watchCache(redis);
    await until(() => isShared(sharesOf(replicas)), 60_000);

    const migrated = replicas.flatMap((replica) =>
      replica.lines().filter(({ msg }) => msg === 'migrated up'),
    );
    const migrations = await world.database.sql`select name from migrations order by version`;
    expect(migrated.map(({ migration }) => migration)).toEqual(migrations.map(({ name }) => name));

    const orders = ordersOf(4_000);
    const uids = orders.map(({ order_uid }) => order_uid);
    await world.send(orders.slice(0, 2_500));
    await until(async () => (await world.stored()) === 2_500);

    await using proxy = await startProxy({ port, addresses: hosts });
    const statusOf = async (uid: string) => (await fetch(`${proxy.url}/order/${uid}`)).status;
    // More than the cache holds, so that all three put orders into it at once.
    const atOnce = pLimit(30);
    const statuses = await Promise.all(uids.slice(0, 2_500).map((uid) => atOnce(statusOf, uid)));
    expect(statuses.filter((status) => status !== 200)).toEqual([]);

    await using lookups = lookUpWithoutPause(proxy.url, uids.slice(0, 2_500));
    const sending = world.send(orders.slice(2_500));
    await second.kill('SIGKILL');
    await sending;
    await until(() => isShared(sharesOf([first, third])), 60_000);
    await until(async () => (await world.stored()) === orders.length);
    const { asked, others } = await lookups.stop();
    expect(others).toEqual([]);
    expect(asked).toBeGreaterThan(100);
    expect(await cache.stop()).toBe(cacheLimit);

    await until(async () => (await world.committed()) === orders.length);
    const [rows] = await world.database.sql`select
      (select count(*)::int from orders) as orders, (select count(*)::int from deliveries) as deliveries,
      (select count(*)::int from payments) as payments, (select count(*)::int from items) as items`;
    const items = orders.reduce((sum, order) => sum + order.items.length, 0);
    expect(rows).toEqual({ orders: 4_000, deliveries: 4_000, payments: 4_000, items });
    const stored = await world.database.sql<{ order_uid: string }[]>`select order_uid from orders`;
    expect(new Set(stored.map((row) => row.order_uid))).toEqual(new Set(uids));

    const [one, other] = await Promise.all([first.stop('SIGTERM'), third.stop('SIGTERM')]);
    expect([one.status, other.status]).toEqual([0, 0]);
  },
  150_000,
);
