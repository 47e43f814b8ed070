/** Faults of a group's coordinator and of partition leaders, as on a cluster, made by the embedded broker. kafkajs is patched for them. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker } from 'kafka-broker';
import { createBrokers } from '../../src/kafka/brokers.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { silent, until } from '../support/kafka-and-postgres.ts';

setDefaultTimeout(60_000);

const open = async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'order-lookup-'));
  const broker = await startBroker({ dataDir, port: 0 });
  const kafka = createKafka(
    { brokers: [broker.brokers], ssl: false, sasl: undefined },
    'test',
    silent,
    createBrokers([broker.brokers], silent),
  );
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 2 }] });
  const producer = kafka.producer();
  await producer.connect();
  const stops = [() => producer.disconnect(), () => admin.disconnect()];
  let sent = 0;
  return {
    faults: broker.faults,
    addPartition: () => admin.createPartitions({ topicPartitions: [{ topic: 'orders', count: 3 }] }),
    async send(count: number) {
      const messages = Array.from({ length: count }, () => ({ value: `${sent++}` }));
      await producer.send({ topic: 'orders', messages });
    },
    async committed() {
      const [group] = await admin.fetchOffsets({ groupId: 'group', topics: ['orders'] });
      return group?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
    },
    async member({ metadataMaxAge = 1_000 } = {}) {
      const consumer = kafka.consumer({
        groupId: 'group',
        sessionTimeout: 10_000,
        heartbeatInterval: 200,
        metadataMaxAge,
        maxWaitTimeInMs: 100,
      });
      const seen = {
        joins: 0,
        crashes: 0,
        heartbeats: 0,
        assigned: [] as number[],
        messages: [] as string[],
        stop: () => consumer.disconnect(),
      };
      consumer.on('consumer.group_join', ({ payload }) => {
        seen.joins++;
        seen.assigned = payload.memberAssignment.orders ?? [];
      });
      consumer.on('consumer.crash', () => void seen.crashes++);
      consumer.on('consumer.heartbeat', () => void seen.heartbeats++);
      await consumer.connect();
      await consumer.subscribe({ topic: 'orders', fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        // Commits without waiting for the result, as the consumer does.
        async eachBatch({ batch, commitOffsetsIfNecessary }) {
          seen.messages.push(...batch.messages.map(({ value }) => String(value)));
          const partitions = [
            { partition: batch.partition, offset: String(BigInt(batch.lastOffset()) + 1n) },
          ];
          commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions }] }).catch(() => {});
        },
      });
      stops.unshift(() => consumer.disconnect());
      await until(() => seen.joins > 0);
      return seen;
    },
    async [Symbol.asyncDispose]() {
      broker.faults.clear();
      for (const stop of stops) await stop();
      await broker.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
};

const numbers = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);
const sorted = (values: string[]) => values.toSorted((a, b) => Number(a) - Number(b));

test('after the coordinator has moved, offsets are committed again without a rebalance', async () => {
  await using cluster = await open();
  const member = await cluster.member();
  for (const api of ['Heartbeat', 'OffsetCommit'])
    for (const error of ['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_LOAD_IN_PROGRESS'])
      cluster.faults.error(api, error);
  await cluster.send(20);
  await until(() => member.messages.length >= 20);
  await until(async () => {
    await cluster.send(1);
    return ((await cluster.committed()) ?? 0) >= 20;
  });
  expect([member.joins, member.crashes]).toEqual([1, 0]);
});

test('fetching goes on while the coordinator hangs', async () => {
  await using cluster = await open();
  // Metadata is read on the connection that hangs.
  const member = await cluster.member({ metadataMaxAge: 60_000 });
  cluster.faults.delay('Heartbeat', 3_500, 3);
  const durations: number[] = [];
  for (let n = 0; n < 20; n++) {
    await cluster.send(5);
    const begun = performance.now();
    await until(() => member.messages.length === (n + 1) * 5);
    durations.push(performance.now() - begun);
  }
  // Messages that wait for a heartbeat come after 3.5 s.
  expect(Math.max(...durations)).toBeLessThan(3_000);
  expect([member.joins, member.crashes]).toEqual([1, 0]);
});

test('a slow coordinator can still rebalance the group', async () => {
  await using cluster = await open();
  const one = await cluster.member();
  cluster.faults.delay('Heartbeat', 600, Number.POSITIVE_INFINITY);
  const other = await cluster.member();
  await until(() => one.assigned.length === 1 && other.assigned.length === 1, 20_000);
});

test('after the clock was set back by an hour, heartbeats go on and a new partition is read', async () => {
  await using cluster = await open();
  const member = await cluster.member();
  const now = Date.now;
  Date.now = () => now() - 3_600_000;
  try {
    const { heartbeats } = member;
    await until(() => member.heartbeats > heartbeats + 1);
    await cluster.addPartition();
    await until(() => member.assigned.length === 3);
    expect(member.crashes).toBe(0);
  } finally {
    Date.now = now;
  }
});

test('joining is retried while the coordinator loads the group', async () => {
  await using cluster = await open();
  cluster.faults.error('JoinGroup', 'COORDINATOR_LOAD_IN_PROGRESS', 3);
  const member = await cluster.member();
  expect(member.crashes).toBe(0);
});

test('after a partition’s leader has moved, reading goes on there without a gap, a repetition or a rebalance', async () => {
  await using cluster = await open();
  const member = await cluster.member();
  for (const error of ['NOT_LEADER_OR_FOLLOWER', 'LEADER_NOT_AVAILABLE', 'FENCED_LEADER_EPOCH']) {
    cluster.faults.error('Fetch', error, { topic: 'orders', partition: 0 });
    await cluster.send(200);
  }
  await until(() => member.messages.length >= 600);
  expect(sorted(member.messages)).toEqual(numbers(600));
  expect([member.joins, member.crashes]).toEqual([1, 0]);
});

test('a consumer that stops while it looks for the leader of a partition ends', async () => {
  await using cluster = await open();
  const member = await cluster.member();
  const fault = { topic: 'orders', partition: 0, times: Number.POSITIVE_INFINITY };
  cluster.faults.error('Fetch', 'NOT_LEADER_OR_FOLLOWER', fault);
  await cluster.send(20);
  await until(() => member.messages.length > 0);
  // Again and again the fetchers are just being started again.
  await member.stop();
  expect(member.crashes).toBe(0);
});
