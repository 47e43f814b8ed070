/**
 * Nothing is lost on a cluster of three brokers, whatever fails; each test prints a row of a table at the end.
 * That nothing is lost must always hold; times are judged only where the machine has processor time to spare.
 *
 * FAULTS_SEED repeats the random choices of a run.
 */
import { expect, test } from 'bun:test';
import { type KafkaRecord, recordsOf } from '../../support/cluster/kcat.ts';
import { expectWithin } from '../../support/cluster/report.ts';
import type { Scenario } from '../../support/cluster/scenario.ts';
import { useCluster } from '../../support/cluster/use-cluster.ts';
import { startProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

const limit = 400_000;
const perSecond = 300;

const { seed, openScenario } = useCluster();

/** Eight partitions of each of three groups one after another, so that some broker loses a leader all the time. */
const moveAbout = ({ brokers, topic }: Scenario, isOver: () => Promise<boolean>) =>
  Promise.all(
    [0, 1, 2].map(async (first) => {
      for (let turn = 0; turn < 8 && !(await isOver()); turn++)
        await brokers.move(topic, [first + 3 * (turn % 4)]);
    }),
  );

for (const replicationFactor of [1, 2]) {
  test(
    `nothing is lost when partitions with ${replicationFactor} replica(s) move to other brokers while a backlog drains`,
    async () => {
      const name = `partitions moved during a drain, RF ${replicationFactor}`;
      const settings = { 'min.insync.replicas': '1' };
      await using scenario = await openScenario({ name, replicationFactor, settings });
      const feed = scenario.feed(seed);
      await feed.send(100_000);
      const sent = await feed.stop();
      await scenario.replica();
      await scenario.progress(1_000);
      await moveAbout(scenario, async () => (await scenario.stored()) > sent.orders.size * 0.9);
      await scenario.settle(sent);
    },
    limit,
  );
}

test(
  'nothing is lost when partitions move to other brokers under a live stream with two replicas',
  async () => {
    const settings = { 'min.insync.replicas': '1' };
    await using scenario = await openScenario({
      name: 'partitions moved under a stream, two replicas',
      replicationFactor: 2,
      settings,
    });
    await scenario.replica();
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(1_000);
    await moveAbout(scenario, async () => false);
    await scenario.brokers.move(scenario.topic);
    await scenario.progress(1_000);
    await scenario.settle(await feed.stop());
  },
  limit,
);

/** A broker that does not coordinate the group. */
const bystander = async ({ brokers, groupId }: Scenario) => {
  const coordinator = await brokers.coordinatorOf(groupId);
  return brokers.ids.find((id) => id !== coordinator) as number;
};

const coordinator = ({ brokers, groupId }: Scenario) => brokers.coordinatorOf(groupId);

/** Kafka's own outage is what the other brokers need to notice; the program may need this much longer, in ms. */
const longerMs = 5_000;
const joinedWithinMs = 15_000;
const committedWithinMs = 10_000;

for (const [who, choose] of Object.entries({
  'a broker': bystander,
  "the group's coordinator": coordinator,
})) {
  test(
    `nothing is lost when ${who} is killed, and its loss costs at most 5 s more than Kafka's own outage`,
    async () => {
      await using scenario = await openScenario({ name: `${who} killed` });
      const { brokers, topic, watch } = scenario;
      await scenario.replica();
      const feed = scenario.feed(seed);
      feed.start(perSecond);
      await scenario.progress(1_000);
      const id = await choose(scenario);
      watch.reset();
      await brokers.node(id).kill9();
      const own = await brokers.fenced(id, topic);
      await scenario.progress(1_000);
      await brokers.node(id).start();
      await scenario.progress(1_000);
      const row = await scenario.settle(await feed.stop());
      expectWithin(row.longest, own + longerMs);
    },
    limit,
  );

  test(
    `nothing is lost when ${who} is frozen, and that costs at most 5 s more than Kafka takes to fence it`,
    async () => {
      await using scenario = await openScenario({ name: `${who} frozen` });
      const { brokers, topic, watch } = scenario;
      await scenario.replica();
      const feed = scenario.feed(seed);
      feed.start(perSecond);
      await scenario.progress(1_000);
      const id = await choose(scenario);
      watch.reset();
      brokers.node(id).freeze();
      const own = await brokers.fenced(id, topic);
      await scenario.progress(1_000);
      brokers.node(id).thaw();
      await scenario.progress(1_000);
      const row = await scenario.settle(await feed.stop());
      expectWithin(row.longest, own + longerMs);
      expect(row.seconds.degraded).toBeGreaterThan(0);
    },
    limit,
  );

  test(
    `nothing is lost when ${who} is restarted in order, and offsets are committed again within 10 s`,
    async () => {
      await using scenario = await openScenario({ name: `${who} rolled` });
      const { brokers, watch } = scenario;
      await scenario.replica();
      const feed = scenario.feed(seed);
      feed.start(perSecond);
      await scenario.progress(1_000);
      watch.reset();
      await brokers.restart(await choose(scenario));
      const begun = Date.now();
      const before = await scenario.committed();
      await until(async () => (await scenario.committed()) > before, 60_000);
      const commitsAfter = Date.now() - begun;
      await scenario.progress(1_000);
      const row = await scenario.settle(await feed.stop());
      expectWithin({ ms: commitsAfter, late: row.longest.late }, committedWithinMs);
    },
    limit,
  );
}

test(
  'nothing is lost when all brokers are restarted in order, one after another',
  async () => {
    await using scenario = await openScenario({ name: 'all brokers rolled' });
    const { brokers, topic, watch } = scenario;
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(1_000);
    watch.reset();
    for (const id of brokers.ids) {
      await brokers.restart(id);
      await brokers.settle(topic);
    }
    await scenario.progress(1_000);
    await scenario.settle(await feed.stop());
  },
  limit,
);

test(
  'nothing is lost while dead letters and offsets are rejected, because there are fewer replicas than min.insync.replicas',
  async () => {
    await using scenario = await openScenario({ name: 'below min.insync.replicas' });
    const { brokers, topic, deadLetterTopic, watch } = scenario;
    await scenario.replica();
    const feed = scenario.feed(seed);
    feed.start(perSecond);
    await scenario.progress(1_000);
    watch.reset();
    for (const one of [deadLetterTopic, '__consumer_offsets']) await brokers.requireReplicas(one, 3);
    const id = await bystander(scenario);
    await brokers.node(id).stop();
    await Bun.sleep(15_000);
    await brokers.node(id).start();
    await brokers.requireReplicas('__consumer_offsets', 2);
    await brokers.settle(topic);
    await scenario.progress(1_000);
    await scenario.settle(await feed.stop());
  },
  limit,
);

test(
  'added partitions are read within 15 s, from their beginning, and count in the lag',
  async () => {
    await using scenario = await openScenario({ name: 'partitions added', partitions: 6 });
    const { brokers, topic, watch } = scenario;
    const replica = await scenario.replica();
    const feed = scenario.feed(seed, { conflicts: false });
    feed.start(perSecond);
    await scenario.progress(1_000);
    watch.reset();
    const begun = Date.now();
    await brokers.withAdmin((admin) =>
      admin.createPartitions({ topicPartitions: [{ topic, count: 9 }], timeout: 10_000 }),
    );
    const added = [6, 7, 8];
    const isRead = async () => {
      const metrics = await (await fetch(`${replica.url}/metrics`)).text();
      const committed = await scenario.committedOffsets();
      return added.every(
        (partition) =>
          (committed.get(partition) ?? 0n) > 0n &&
          new RegExp(`^orders_consumer_lag_messages\\{.*partition="${partition}"`, 'm').test(metrics),
      );
    };
    await until(isRead, 330_000);
    const readAfter = Date.now() - begun;
    const row = await scenario.settle(await feed.stop());
    console.log(`added partitions were read and committed after ${readAfter} ms`);
    expectWithin({ ms: readAfter, late: row.longest.late }, 15_000);
  },
  limit,
);

test(
  'records that are deleted before they were read are counted and reported',
  async () => {
    await using scenario = await openScenario({ name: 'records deleted', partitions: 4 });
    const { brokers, topic } = scenario;
    const feed = scenario.feed(seed, { conflicts: false });
    const first = await scenario.replica();
    await feed.send(2_000);
    await scenario.progress(1_900);
    expect(await first.stop()).toBe(0);
    await feed.send(2_000);
    const sent = await feed.stop();
    const records = await recordsOf(brokers.all, topic);
    const committed = await scenario.committedOffsets();
    const isUnread = ({ partition, offset }: KafkaRecord) => offset >= (committed.get(partition) ?? 0n);
    const unread = records.filter(isUnread);
    // Half of the unread records of each partition.
    const cuts = [0, 1, 2, 3].map((partition) => {
      const offsets = unread.filter((one) => one.partition === partition).map(({ offset }) => offset);
      return { partition, offset: offsets[Math.floor(offsets.length / 2)] as bigint };
    });
    const deleted = unread.filter(({ partition, offset }) => offset < (cuts[partition]?.offset ?? 0n));
    const rest = new Set(records.filter((record) => !deleted.includes(record)).map(({ key }) => key));
    const gone = new Set(deleted.map(({ key }) => key).filter((key) => !rest.has(key)));
    await brokers.withAdmin(async (admin) => {
      // The request needs the topic's leaders, and the client does not look them up by itself.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({
        topic,
        partitions: cuts.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
      });
    });
    const second = await scenario.replica();
    await scenario.settle(sent, { gone });
    const metrics = await (await fetch(`${second.url}/metrics`)).text();
    const counted = [...metrics.matchAll(/^orders_records_deleted_unread_total\{[^}]*\} (\d+)/gm)];
    expect(counted.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(deleted.length);
  },
  limit,
);

test(
  'a member joins within 15 s though the first of the listed brokers hangs',
  async () => {
    await using scenario = await openScenario({ name: 'first listed broker hangs at the start' });
    await using hung = startProxy({ hostname: '127.0.0.1', port: 9 });
    hung.freeze();
    const feed = scenario.feed(seed);
    await feed.send(2_000);
    const sent = await feed.stop();
    const begun = Date.now();
    const replica = await scenario.replica({
      KAFKA_BROKERS: `127.0.0.1:${hung.port},${scenario.brokers.all}`,
    });
    await until(() => replica.has('joined the group'), 300_000);
    const joinedAfter = Date.now() - begun;
    const row = await scenario.settle(sent);
    console.log(`joined after ${joinedAfter} ms`);
    expectWithin({ ms: joinedAfter, late: row.longest.late }, joinedWithinMs);
  },
  limit,
);
