/** What a test or a program that embeds the broker has of it. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { networkInterfaces } from 'node:os';
import { startBroker } from '../src/broker.ts';
import { errorCode, readList, readName, writeText } from '../src/wire.ts';
import { batchOf, clientsOf, rawClient, testBroker } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const withTopics = async () => {
  const broker = await testBroker();
  const admin = await broker.admin();
  await admin.createTopics({ topics: ['a', 'b'].map((topic) => ({ topic, numPartitions: 2 })) });
  return broker;
};

test('without a directory everything is in memory: it serves as usual and leaves nothing behind', async () => {
  const broker = await startBroker({ port: 0, topicDefaults: { 'segment.bytes': '1000' } });
  await using clients = clientsOf(broker.brokers);
  const producer = await clients.producer();
  for (let i = 0; i < 50; i++) await producer.send({ topic: 't', messages: [{ value: `value ${i}` }] });
  const { values } = await clients.consumer('t', { groupId: 'g' });
  await until(() => values.length === 50);
  expect(values).toEqual(Array.from({ length: 50 }, (_, i) => `value ${i}`));
  await clients[Symbol.asyncDispose]();
  await broker.stop();
});

test('reset empties the broker: topics, groups, offsets and faults', async () => {
  await using broker = await withTopics();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer()]);
  await producer.send({ topic: 'a', messages: [{ value: '1' }] });
  await admin.setOffsets({ groupId: 'g', topic: 'a', partitions: [{ partition: 0, offset: '1' }] });
  broker.faults.error('Metadata', 'UNKNOWN_SERVER_ERROR', 1000);
  broker.reset();
  // kafkajs's admin of before asks for the topics that it knew.
  const fresh = await broker.admin();
  expect(await fresh.listTopics()).toEqual([]);
  expect((await fresh.listGroups()).groups).toEqual([]);
  await fresh.createTopics({ topics: [{ topic: 'a' }] });
  expect(await fresh.fetchTopicOffsets('a')).toMatchObject([{ high: '0' }]);
  expect((await fresh.fetchOffsets({ groupId: 'g', topics: ['a'] }))[0]?.partitions[0]?.offset).toBe('-1');
});

test('a fault for one topic or partition does not affect the others, and ends after its number of times', async () => {
  await using broker = await withTopics();
  using client = await rawClient(broker.port);
  broker.faults.error('Produce', 'NOT_LEADER_OR_FOLLOWER', { topic: 'a', partition: 1, times: 2 });
  const produce = async (topic: string, partition: number) =>
    (await client.produce(topic, partition, batchOf(['x']))).error;
  expect([await produce('a', 0), await produce('b', 1)]).toEqual([0, 0]);
  const refused = errorCode('NOT_LEADER_OR_FOLLOWER');
  expect([await produce('a', 1), await produce('a', 1), await produce('a', 1)]).toEqual([
    refused,
    refused,
    0,
  ]);
});

test('a partition that loses its leader has none in the metadata, and refuses requests until it has one again', async () => {
  await using broker = await withTopics();
  using client = await rawClient(broker.port);
  const admin = await broker.admin();
  const leaders = async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: ['a'] });
    return topics[0]?.partitions.map(({ leader }) => leader);
  };
  const produce = async (partition: number) => (await client.produce('a', partition, batchOf(['x']))).error;
  const elect = broker.faults.loseLeader('a', 1);
  expect(await leaders()).toEqual([1, -1]);
  expect([await produce(0), await produce(1)]).toEqual([0, errorCode('NOT_LEADER_OR_FOLLOWER')]);
  elect();
  expect(await leaders()).toEqual([1, 1]);
  expect(await produce(1)).toBe(0);
});

test('a connection is dropped, or a request delayed, for one topic only', async () => {
  await using broker = await withTopics();
  using client = await rawClient(broker.port);
  broker.faults.delay('Produce', 300, { topic: 'a' });
  const from = performance.now();
  await client.produce('b', 0, batchOf(['x']));
  const unaffected = performance.now() - from;
  await client.produce('a', 0, batchOf(['x']));
  expect(performance.now() - from).toBeGreaterThan(unaffected + 290);

  broker.faults.drop('Produce', 'before', { topic: 'a' });
  broker.faults.drop('Produce', 'after', { topic: 'b' });
  await expect(client.produce('a', 0, batchOf(['lost']))).rejects.toThrow('closed');
  using other = await rawClient(broker.port);
  await expect(other.produce('b', 0, batchOf(['kept']))).rejects.toThrow('closed');
  const ends = await Promise.all(
    ['a', 'b'].map(async (topic) => (await broker.admin()).fetchTopicOffsets(topic)),
  );
  expect(ends.map((partitions) => partitions.find(({ partition }) => partition === 0)?.high)).toEqual([
    '1',
    '2',
  ]);
});

test('a hook decides about each request and each partition, until it is removed', async () => {
  await using broker = await withTopics();
  using client = await rawClient(broker.port);
  const seen: string[] = [];
  const remove = broker.faults.intercept(({ api, clientId, topic, partition }) => {
    if (api === 'Produce') seen.push(`${clientId} ${topic} ${partition}`);
    return partition === 1 ? { error: 'REQUEST_TIMED_OUT' } : undefined;
  });
  expect((await client.produce('a', 1, batchOf(['x']))).error).toBe(errorCode('REQUEST_TIMED_OUT'));
  expect(seen).toEqual(['raw undefined undefined', 'raw a 1']);
  remove();
  expect((await client.produce('a', 1, batchOf(['x']))).error).toBe(0);
  expect(() => broker.faults.error('Nonsense', 'REQUEST_TIMED_OUT')).toThrow('no API Nonsense');
  expect(() => broker.faults.error('Produce', 'NONSENSE')).toThrow('no error NONSENSE');
});

test('waitForGroup resolves when the members have their partitions, and says how the group is when they do not', async () => {
  await using broker = await withTopics();
  const waiting = broker.waitForGroup('g', { members: 2 });
  await Promise.all([1, 2].map(() => broker.consumer('a', { groupId: 'g', heartbeatInterval: 100 })));
  await waiting;
  await expect(broker.waitForGroup('g', { members: 3, timeoutMs: 50 })).rejects.toThrow(
    'The group g is Stable with 2 members, not Stable with 3 members, after 50 ms.',
  );
});

const addressesIn = async (port: number, hostname: string) => {
  using client = await rawClient(port, hostname);
  const reader = await client.request('Metadata', 1, (w) => w.appendInt32(0));
  return readList(reader, () => {
    reader.readInt32();
    const host = readName(reader);
    reader.readInt32();
    readName(reader);
    return host;
  });
};

test('a broker on every address sends each client to the address at which it came', async () => {
  const broker = await startBroker({ port: 0, host: '0.0.0.0' });
  expect(broker.brokers).toBe(`127.0.0.1:${broker.port}`);
  expect(await addressesIn(broker.port, '127.0.0.1')).toEqual(['127.0.0.1']);
  const other = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)?.address;
  if (other !== undefined) expect(await addressesIn(broker.port, other)).toEqual([other]);
  await broker.stop();

  const named = await startBroker({ port: 0, host: '0.0.0.0', advertisedHost: 'kafka.example' });
  expect(named.brokers).toBe(`kafka.example:${named.port}`);
  expect(await addressesIn(named.port, '127.0.0.1')).toEqual(['kafka.example']);
  await named.stop();
});

test('transactions are refused as not supported, which is logged once and not at each try', async () => {
  await using broker = await withTopics();
  using client = await rawClient(broker.port);
  for (let attempt = 0; attempt < 3; attempt++) {
    const reader = await client.request('FindCoordinator', 1, (w) => void writeText(w, 'tx').appendInt8(1));
    reader.readInt32();
    expect(reader.readInt16()).toBe(errorCode('UNSUPPORTED_VERSION'));
    expect(readName(reader)).toBe('transactions are not supported');
  }
  expect(broker.lines.filter((line) => line.includes('transactions are not supported'))).toHaveLength(1);
});
