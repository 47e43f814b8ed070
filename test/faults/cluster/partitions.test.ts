/**
 * One partition does not hold up the others: without a leader when a member starts, or damaged on a broker's disk. Nothing of it is
 * lost or skipped; each test prints a row of a table at the end.
 *
 * FAULTS_SEED repeats the random choices of a run.
 */
import { expect, test } from 'bun:test';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { partitionsOf, recordsOf } from '../../support/cluster/kcat.ts';
import type { Scenario } from '../../support/cluster/scenario.ts';
import { partitionLog, useCluster } from '../../support/cluster/use-cluster.ts';
import { until } from '../../support/until.ts';

const limit = 400_000;
const settings = { 'min.insync.replicas': '1' };

const { seed, openScenario } = useCluster();

/** A stream of small batches, all of which Kafka has acknowledged. */
const sendAll = async (scenario: Scenario) => {
  const feed = scenario.feed(seed, { conflicts: false });
  const sent = async () => {
    const ends = await scenario.brokers.withAdmin((admin) => admin.fetchTopicOffsets(scenario.topic));
    return ends.reduce((sum, { high }) => sum + Number(high), 0);
  };
  for (let part = 1; part <= 10; part++) {
    await feed.send(200);
    // kcat holds the end of its input back until more comes.
    await until(async () => (await sent()) >= (part - 1) * 200, 30_000);
  }
  return feed.stop();
};

const health = async (url: string) => {
  const { status, parts } = await fetch(`${url}/readyz`).then(
    (response) => response.json() as Promise<{ status: string; parts: { kafka: { reason?: string } } }>,
  );
  return { status, reason: parts.kafka.reason };
};

/** The orders that are in these partitions. */
const ordersIn = async (
  scenario: Scenario,
  sent: Awaited<ReturnType<typeof sendAll>>,
  partitions: number[],
) => {
  const records = await recordsOf(scenario.brokers.all, scenario.topic);
  const keys = records.filter(({ partition }) => partitions.includes(partition)).map(({ key }) => key);
  return new Set(keys.filter((key) => sent.orders.has(key))).size;
};

test(
  'a member that starts while partitions have no leader reads the others, and those as soon as they have one',
  async () => {
    const name = 'partitions without a leader at the start';
    await using scenario = await openScenario({ name, partitions: 6, replicationFactor: 1, settings });
    const { brokers, topic } = scenario;
    const sent = await sendAll(scenario);
    const before = await partitionsOf(brokers.all, topic);
    const id = (await brokers.coordinatorOf(scenario.groupId)) === 1 ? 2 : 1;
    const idsOf = (isLed: boolean) =>
      before.filter(({ leader }) => (leader === id) === isLed).map(({ partition }) => partition);
    const [leaderless, led] = [idsOf(true), idsOf(false)];
    const readable = await ordersIn(scenario, sent, led);
    await brokers.node(id).kill9();
    await until(async () => {
      const known = await partitionsOf(brokers.withoutBroker(id), topic).catch(() => []);
      return known.filter(({ leader }) => leader === -1).length === leaderless.length;
    }, 60_000);

    const replica = await scenario.replica();
    await until(async () => (await scenario.stored()) === readable, 60_000);
    const expected = `partitions ${leaderless.sort().join(', ')} cannot be read: no leader (LEADER_NOT_AVAILABLE)`;
    await until(async () => (await health(replica.url)).reason === expected);
    expect((await health(replica.url)).status).toBe('degraded');
    const joins = () => replica.log.filter((line) => line.includes('joined the group')).length;
    expect(joins()).toBe(1);

    await brokers.node(id).start();
    const begun = Date.now();
    const row = await scenario.settle(sent);
    console.log(`all was stored ${Date.now() - begun} ms after the broker's return`);
    expect([row.lost, joins()]).toEqual([0, 1]);
  },
  limit,
);

/** Changes a bit in the head of a batch, as a bad disk does. Doing it again repairs it. */
const flipBit = (path: string, batch: number, byte: number, bit: number) => {
  const bytes = readFileSync(path);
  let at = 0;
  for (let skipped = 0; skipped < batch; skipped++) at += 12 + bytes.readInt32BE(at + 8);
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.from([(bytes[at + byte] as number) ^ bit]), 0, 1, at + byte);
  closeSync(file);
};

test(
  'while two partitions are damaged on a disk the others are read, and those are read on once they are repaired',
  async () => {
    const name = 'two partitions damaged on a disk';
    await using scenario = await openScenario({ name, partitions: 9, replicationFactor: 1, settings });
    const { brokers, topic } = scenario;
    const sent = await sendAll(scenario);
    const partitions = await partitionsOf(brokers.all, topic);
    const [{ leader }] = partitions as [(typeof partitions)[number]];
    // Both on one broker, with others that it leads, and with those of the other brokers.
    const [negative, large] = partitions.filter((one) => one.leader === leader) as typeof partitions;
    if (!negative || !large) throw new Error('the brokers lead fewer than two partitions');
    const damage = () => {
      // The first batch has a negative size, which Kafka refuses; or the second one a size beyond the end, where it finds nothing.
      flipBit(partitionLog(leader, topic, negative.partition), 0, 8, 0x80);
      flipBit(partitionLog(leader, topic, large.partition), 1, 8, 0x01);
    };
    const others = partitions.map(({ partition }) => partition);
    const whole = others.filter((one) => one !== negative.partition && one !== large.partition);
    const readable = await ordersIn(scenario, sent, whole);
    damage();

    const replica = await scenario.replica();
    await until(async () => {
      const { reason } = await health(replica.url);
      return (
        reason?.includes(`partition ${negative.partition} cannot be read: damaged on the broker's disk`) &&
        reason?.includes(`partition ${large.partition} cannot be read: Kafka returns no messages`)
      );
    }, 60_000);
    await until(async () => (await scenario.stored()) >= readable, 60_000);
    const stored = await scenario.stored();
    expect(stored).toBeLessThan(sent.orders.size);
    expect((await health(replica.url)).status).toBe('degraded');
    const told = replica.log.filter((line) => line.includes('a partition cannot be read'));
    expect(told).toHaveLength(2);

    // The same bits again.
    damage();
    await scenario.settle(sent);
    await until(async () => (await health(replica.url)).status === 'ready');
    expect(replica.log.filter((line) => line.includes('joined the group'))).toHaveLength(1);
  },
  limit,
);
