/** A partition that cannot be read does not hold up the others, is reported, and is read again once it can be. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { testBroker } from '../../packages/kafka-broker/test/support/broker.ts';
import type { Log } from '../../src/observability/log.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';

setDefaultTimeout(60_000);

const partitions = 3;

type Line = { level: string; partition?: number; reason?: string; msg: string };

const recordLines = (lines: Line[]): Log => {
  const at = (level: string) => (fields: object, msg: string) => void lines.push({ level, ...fields, msg });
  const [info, warn, error] = [at('info'), at('warn'), at('error')];
  return { debug() {}, info, warn, error, isLevelEnabled: () => false } as unknown as Log;
};

/** Three partitions on a broker of their own. */
const openPartitions = async () => {
  const broker = await testBroker();
  const lines: Line[] = [];
  const log = recordLines(lines);
  const pipeline = await openPipeline({ partitions, addresses: [broker.brokers], log });
  const make = createOrderMaker({ seed: 1 });
  const sent = new Map<number, string[]>();
  return {
    ...pipeline,
    faults: broker.faults,
    lines,
    async sendTo(partition: number, count = 10) {
      const orders = Array.from({ length: count }, make);
      sent.set(partition, [...(sent.get(partition) ?? []), ...orders.map((order) => order.order_uid)]);
      await pipeline.send(
        orders.map((order) => ({ key: order.order_uid, value: JSON.stringify(order), partition })),
      );
    },
    /** Whether everything that was sent to these partitions is stored. */
    async isStored(...which: number[]) {
      const uids = which.flatMap((partition) => sent.get(partition) ?? []);
      return (await pipeline.store.findAll(uids)).size === uids.length;
    },
    async [Symbol.asyncDispose]() {
      broker.faults.clear();
      await pipeline[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
    },
  };
};

test('a member that starts reads the partitions that have a leader, and the other one as soon as it has one', async () => {
  await using world = await openPartitions();
  for (const partition of [0, 1, 2]) await world.sendTo(partition);
  const elect = world.faults.loseLeader(world.topic, 1);
  const member = world.join();
  await until(() => world.isStored(0, 2));
  await until(() => member.state().kafka === undefined);
  expect(member.state().kafkaDegraded).toBe('partition 1 cannot be read: no leader (LEADER_NOT_AVAILABLE)');
  // The lag of the others is known.
  await until(() => member.polled.has(0) && member.polled.has(2));
  expect(member.polled.has(1)).toBe(false);
  expect(await world.isStored(1)).toBe(false);

  elect();
  await until(() => world.isStored(1), 8_000);
  expect(member.state().kafkaDegraded).toBeUndefined();
  expect([member.joins(), member.fences]).toEqual([1, []]);
  await world.drained();
});

test('a rebalance while a partition has no leader leaves the others readable', async () => {
  await using world = await openPartitions();
  const member = world.join();
  await world.sendTo(0);
  await until(() => world.isStored(0));
  const elect = world.faults.loseLeader(world.topic, 1);
  const other = world.join();
  await until(() => other.assigned().length > 0 && member.assigned().length < partitions);
  for (const partition of [0, 2]) await world.sendTo(partition);
  await until(() => world.isStored(0, 2));
  const owner = [member, other].find((one) => one.assigned().includes(1));
  const bystander = [member, other].find((one) => one !== owner);
  await until(() => owner?.state().kafkaDegraded?.includes('partition 1'));
  expect(bystander?.state().kafkaDegraded).toBeUndefined();
  elect();
  await world.sendTo(1);
  await until(() => world.isStored(1), 8_000);
});

test('a partition that loses its leader while it is read is reported once, and again when it has one', async () => {
  await using world = await openPartitions();
  const member = world.join();
  for (const partition of [0, 1, 2]) await world.sendTo(partition);
  await until(() => world.isStored(0, 1, 2));
  const elect = world.faults.loseLeader(world.topic, 2);
  await until(() => member.state().kafkaDegraded?.includes('partition 2 cannot be read: no leader'));
  for (const partition of [0, 1]) await world.sendTo(partition);
  await until(() => world.isStored(0, 1));
  elect();
  await world.sendTo(2);
  await until(() => world.isStored(2), 8_000);
  await until(() => member.state().kafkaDegraded === undefined);
  const ofPartition = world.lines.filter(({ partition }) => partition === 2);
  expect(ofPartition.map(({ level }) => level)).toEqual(['warn', 'info']);
  expect(member.joins()).toBe(1);
});
