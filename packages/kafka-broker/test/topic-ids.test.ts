/** How a client learns that a topic or a log is another one: topic ids, and leader epochs. */
import { Database } from 'bun:sqlite';
import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { Connection, metadataV9, metadataV10, offsetForLeaderEpochV3 } from '@platformatic/kafka';
import { startBroker } from '../src/broker.ts';
import { clientsOf, rawClient, temporaryDirectory, testBroker } from './support/broker.ts';

setDefaultTimeout(60_000);

const connect = async (port: number) => {
  const connection = new Connection('test');
  await connection.connect('127.0.0.1', port);
  return {
    metadata: (topics: string[]) => metadataV10.api.async(connection, topics, true, true, true),
    olderMetadata: (topics: string[]) => metadataV9.api.async(connection, topics, true),
    endOf: (leaderEpoch: number, currentLeaderEpoch = -1) =>
      offsetForLeaderEpochV3.api.async(connection, -1, [
        { name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch, leaderEpoch }] },
      ]),
    [Symbol.asyncDispose]: () => connection.close(),
  };
};

const idOf = async (port: number, name = 't') => {
  await using client = await connect(port);
  const { topics } = await client.metadata([name]);
  expect(topics).toMatchObject([{ name, errorCode: 0 }]);
  return topics[0]?.topicId;
};

test('metadata has the id of a topic, which is the same to all and after a restart, and another one once it is recreated', async () => {
  await using directory = await temporaryDirectory();
  const start = () => startBroker({ dataDir: directory.path, port: 0 });
  let broker = await start();
  const before = await idOf(broker.port);
  expect(before).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(await idOf(broker.port)).toBe(before);
  expect(await idOf(broker.port, 'other')).not.toBe(before);
  await broker.stop();
  broker = await start();
  expect(await idOf(broker.port)).toBe(before);
  {
    await using clients = clientsOf(broker.brokers);
    await (await clients.admin()).deleteTopics({ topics: ['t'] });
  }
  expect(await idOf(broker.port)).not.toBe(before);
  await broker.stop();
});

test('a topic that an older broker made gets an id at the next start', async () => {
  await using directory = await temporaryDirectory();
  const start = () => startBroker({ dataDir: directory.path, port: 0 });
  let broker = await start();
  const before = await idOf(broker.port);
  await broker.stop();
  const catalog = new Database(join(directory.path, 'catalog.sqlite'));
  catalog.run('drop table topic_ids');
  catalog.close();
  const ids: unknown[] = [];
  for (let starts = 2; starts > 0; starts--) {
    broker = await start();
    ids.push(await idOf(broker.port));
    await broker.stop();
  }
  expect(ids[0]).not.toBe(before);
  expect(ids[1]).toBe(ids[0]);
});

test('metadata in the compact encoding says what the older one does', async () => {
  await using broker = await testBroker({ defaultPartitions: 3 });
  await using client = await connect(broker.port);
  const partitions = [0, 1, 2].map((partitionIndex) => ({
    errorCode: 0,
    partitionIndex,
    leaderId: 1,
    leaderEpoch: 0,
    replicaNodes: [1],
    isrNodes: [1],
    offlineReplicas: [],
  }));
  expect(await client.metadata(['t'])).toMatchObject({
    brokers: [{ nodeId: 1, host: '127.0.0.1', port: broker.port }],
    clusterId: 'embedded',
    controllerId: 1,
    topics: [{ name: 't', isInternal: false, partitions }],
  });
  expect(await client.olderMetadata(['t'])).toMatchObject({ topics: [{ name: 't', partitions }] });
});

test('an API that is limited to older versions is offered and accepted up to that one', async () => {
  await using broker = await testBroker();
  broker.faults.limit('Metadata', 9);
  await using client = await connect(broker.port);
  expect(await client.olderMetadata(['t'])).toMatchObject({ topics: [{ name: 't' }] });
  using older = await rawClient(broker.port);
  expect(await older.request('Metadata', 10, () => {}).catch(String)).toContain('closed');
  broker.faults.clear();
  expect(await idOf(broker.port)).toBeString();
});

test('a compact request with lengths that cannot be true costs only its connection', async () => {
  await using broker = await testBroker();
  for (const body of [
    [0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x00, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x01, 0x00, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x00, 0x02, ...Buffer.alloc(16), 0xff, 0xff, 0x7f],
  ]) {
    using client = await rawClient(broker.port);
    expect(await client.request('Metadata', 10, (w) => w.append(Buffer.from(body))).catch(String)).toContain(
      'closed',
    );
  }
  expect(await idOf(broker.port)).toBeString();
});

test('the log of the leader epoch ends where the log does, and no other epoch is known', async () => {
  await using broker = await testBroker();
  const producer = await broker.producer();
  await producer.send({ topic: 't', messages: [{ value: '0' }, { value: '1' }] });
  await using client = await connect(broker.port);
  const found = async (epoch: number) => (await client.endOf(epoch)).topics[0]?.partitions[0];
  expect(await found(0)).toMatchObject({ errorCode: 0, leaderEpoch: 0, endOffset: 2n });
  expect(await found(1)).toMatchObject({ errorCode: 0, leaderEpoch: -1, endOffset: -1n });
  await expect(client.endOf(0, 1)).rejects.toThrow();
});
