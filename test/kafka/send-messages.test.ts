/**
 * What kafkajs sends again after a request that failed. It is patched for it. The embedded broker keeps the messages, and stands for
 * two brokers of a cluster.
 */
import { expect, test } from 'bun:test';
import { createRequire } from 'node:module';
import { testBroker } from '../../packages/kafka-broker/test/support/broker.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { type Cluster, clusterOf } from '../../src/kafka/kafkajs-cluster.ts';
import { silent } from '../support/database.ts';

const kafkajs = createRequire(import.meta.url);

type Send = (request: {
  acks: number;
  topicMessages: { topic: string; messages: { value: string; partition: number }[] }[];
}) => Promise<unknown>;

/** Sends to the topic `t`, whose partitions 0 and 1 are led by two brokers, 1 and 2, until `move` gives partitions to another one. */
const openTwoBrokers = async () => {
  const broker = await testBroker();
  const admin = await broker.admin();
  await admin.createTopics({ topics: [{ topic: 't', numPartitions: 2 }] });
  const address = { brokers: [broker.brokers], ssl: false, sasl: undefined };
  const cluster = clusterOf(createKafka(address, 'test', silent));
  await cluster.connect();
  await cluster.addTargetTopic('t');
  const leaders = new Map([
    [0, '1'],
    [1, '2'],
  ]);
  const before = new Map<string, () => Promise<unknown>>();
  const real = (await cluster.findBroker({ nodeId: '1' })) as unknown as {
    produce: (request: object) => unknown;
  };
  const nodes = new Map(
    ['1', '2'].map((nodeId) => [
      nodeId,
      {
        nodeId,
        async produce(request: object) {
          await before.get(nodeId)?.();
          return real.produce(request);
        },
      },
    ]),
  );
  const two = Object.assign(Object.create(cluster) as Cluster, {
    findLeaderForPartitions(_: string, partitions: (number | string)[]) {
      const byLeader: Record<string, number[]> = {};
      for (const partition of partitions.map(Number)) {
        const leader = leaders.get(partition);
        if (leader) byLeader[leader] = [...(byLeader[leader] ?? []), partition];
      }
      return byLeader;
    },
    findBroker: async ({ nodeId }: { nodeId: string }) => nodes.get(nodeId),
  });
  const eosManager = kafkajs('kafkajs/src/producer/eosManager')({
    logger: broker.kafka.logger(),
    cluster: two,
    transactional: false,
  });
  const send: Send = kafkajs('kafkajs/src/producer/sendMessages')({
    logger: broker.kafka.logger(),
    cluster: two,
    partitioner: ({ message }: { message: { partition: number } }) => message.partition,
    eosManager,
    retrier: kafkajs('kafkajs/src/retry')({ retries: 3, initialRetryTime: 1, maxRetryTime: 5 }),
  });
  return {
    faults: broker.faults,
    idempotent: () => eosManager.initProducerId(),
    /** Called before a request reaches the broker of this id; the request fails if it rejects. */
    before,
    move: (partition: number, nodeId: string | undefined) =>
      nodeId ? leaders.set(partition, nodeId) : leaders.delete(partition),
    /** Sends one message to each partition. */
    send: (value: string) =>
      send({
        acks: -1,
        topicMessages: [{ topic: 't', messages: [0, 1].map((partition) => ({ value, partition })) }],
      }),
    /** How many messages each partition has. */
    async counts() {
      const offsets = await admin.fetchTopicOffsets('t');
      return offsets.toSorted((a, b) => a.partition - b.partition).map(({ high }) => Number(high));
    },
    async [Symbol.asyncDispose]() {
      await cluster.disconnect();
      await broker[Symbol.asyncDispose]();
    },
  };
};

const timeout = () => Object.assign(new Error('Request Produce timed out'), { retriable: true });

test('a partition that moves from a broker that hangs to one that has answered is sent there', async () => {
  await using brokers = await openTwoBrokers();
  brokers.before.set('2', async () => {
    brokers.move(1, '1');
    throw timeout();
  });
  await brokers.send('moved');
  expect(await brokers.counts()).toEqual([1, 1]);
});

test('of one request, only the partition that its broker refused is sent again', async () => {
  await using brokers = await openTwoBrokers();
  brokers.move(1, '1');
  brokers.faults.error('Produce', 'NOT_LEADER_OR_FOLLOWER', { topic: 't', partition: 1, times: 2 });
  await brokers.send('refused');
  expect(await brokers.counts()).toEqual([1, 1]);
});

test('an idempotent producer goes on after a partition of a request was refused', async () => {
  await using brokers = await openTwoBrokers();
  await brokers.idempotent();
  brokers.move(1, '1');
  for (const value of ['one', 'two', 'three']) {
    brokers.faults.error('Produce', 'NOT_LEADER_OR_FOLLOWER', { topic: 't', partition: 1 });
    await brokers.send(value);
  }
  expect(await brokers.counts()).toEqual([3, 3]);
});

test('a request that is in flight when another one fails is waited for, and not sent again', async () => {
  await using brokers = await openTwoBrokers();
  brokers.before.set('1', () => Bun.sleep(200));
  brokers.before.set('2', async () => {
    brokers.before.delete('2');
    throw timeout();
  });
  await brokers.send('in flight');
  expect(await brokers.counts()).toEqual([1, 1]);
});

test('an error names the messages that were acknowledged', async () => {
  await using brokers = await openTwoBrokers();
  brokers.faults.error('Produce', 'MESSAGE_TOO_LARGE', { topic: 't', partition: 1 });
  await expect(brokers.send('half')).rejects.toMatchObject({
    type: 'MESSAGE_TOO_LARGE',
    acknowledged: [{ value: 'half', partition: 0 }],
  });
  expect(await brokers.counts()).toEqual([1, 0]);
});

test('messages for a partition that is not in the metadata are an error', async () => {
  await using brokers = await openTwoBrokers();
  brokers.move(1, undefined);
  await expect(brokers.send('no partition')).rejects.toMatchObject({ acknowledged: [{ partition: 0 }] });
});
