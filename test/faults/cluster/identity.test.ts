/**
 * Nothing is lost when Kafka assigns offsets a second time: the topic is recreated, or an out-of-date replica becomes the leader. In
 * both, the new log has grown past the stored offset before anything of it is read.
 */
import { expect, test } from 'bun:test';
import { partitionsOf } from '../../support/cluster/kcat.ts';
import type { Scenario } from '../../support/cluster/scenario.ts';
import { useCluster } from '../../support/cluster/use-cluster.ts';
import type { Sent } from '../../support/faults/stream.ts';
import { until } from '../../support/until.ts';

const limit = 400_000;

const { seed, openScenario } = useCluster();

const merge = (...all: Sent[]): Sent => ({
  orders: new Map(all.flatMap(({ orders }) => [...orders])),
  bad: new Set(all.flatMap(({ bad }) => [...bad])),
});

/** Sends messages, of which no two calls send the same, and resolves once Kafka has acknowledged them. */
const createSender = (scenario: Scenario) => {
  let feeds = 0;
  return async (count: number): Promise<Sent> => {
    const feed = scenario.feed(10 * seed + feeds++, { conflicts: false });
    await feed.send(count);
    return feed.stop();
  };
};

/** Orders wait in PostgreSQL until the returned function is called. Resolves once some do. */
const holdOrders = async ({ ask, named }: Scenario) => {
  const released = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = ask(named, (sql) =>
    sql.begin(async (tx) => {
      await tx`lock table orders in share mode`;
      locked.resolve();
      await released.promise;
    }),
  );
  await locked.promise;
  return {
    isFelt: () =>
      until(() => ask(named, async (sql) => (await sql`select from pg_locks where not granted`).length > 0)),
    async release() {
      released.resolve();
      await holding;
    },
  };
};

test(
  'nothing of a topic is lost that is deleted, created again and filled within seconds while members wait for PostgreSQL',
  async () => {
    const settings = { 'min.insync.replicas': '1' };
    const name = 'topic recreated under members that wait for PostgreSQL';
    await using scenario = await openScenario({ name, partitions: 1, replicationFactor: 2, settings });
    const { brokers, topic } = scenario;
    const send = createSender(scenario);
    const replica = await scenario.replica();
    const first = await send(100);
    await scenario.progress(90);
    const held = await holdOrders(scenario);
    const gone = await send(1_500);
    await held.isFelt();
    // A member that fetches would see that the topic is gone; this one has soon fetched as much as it may hold.
    await Bun.sleep(5_000);
    const create = () =>
      brokers.withAdmin((admin) =>
        admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 2 }] }),
      );
    await brokers.withAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
    await until(() => create().catch(() => false), 60_000);
    const later = await send(3_000);
    await held.release();
    const sent = merge(first, gone, later);
    await scenario.settle(sent, { gone: new Set([...gone.orders.keys(), ...gone.bad]) });
    expect(replica.has('the topic was recreated')).toBe(true);
  },
  limit,
);

for (const isRunning of [false, true])
  test(
    `nothing is lost when an out-of-date replica becomes the leader ${isRunning ? 'under a running member' : 'while no member runs'}, and its log grows past the stored offset`,
    async () => {
      const name = `unclean election, ${isRunning ? 'running member' : 'no member'}`;
      const settings = { 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'true' };
      await using scenario = await openScenario({ name, partitions: 1, replicationFactor: 2, settings });
      const { brokers, topic } = scenario;
      const send = createSender(scenario);
      let replica = await scenario.replica();
      const first = await send(200);
      await scenario.progress(150);

      const partition = async () => (await partitionsOf(brokers.all, topic).catch(() => []))[0];
      const { leader = 0, replicas = [] } = (await partition()) ?? {};
      const follower = replicas.find(({ id }) => id !== leader)?.id as number;
      await brokers.node(follower).kill9();
      await until(async () => (await partition())?.isrs.length === 1, 60_000);
      // What is sent now is on one broker only.
      const second = await send(400);
      await scenario.progress(350);
      if (!isRunning) expect(await replica.stop()).toBe(0);
      await brokers.node(leader).kill9();
      await brokers.node(follower).start();
      await until(async () => (await partition())?.leader === follower, 90_000);
      const third = await send(1_200);
      if (!isRunning) replica = await scenario.replica();
      await scenario.settle(merge(first, second, third));
      for (const warning of ['Kafka has lost records that were stored', 'allows unclean leader election'])
        expect(replica.has(warning)).toBe(true);
    },
    limit,
  );
