/** What an operator's client asks: settings, partitions, offsets of a group. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { startBroker } from '../src/broker.ts';
import { errorCode, readList, readName, readText, type Writer, writeList, writeText } from '../src/wire.ts';
import { batchOf, clientsOf, rawClient, temporaryDirectory, testBroker } from './support/broker.ts';

setDefaultTimeout(60_000);

type Client = Awaited<ReturnType<typeof rawClient>>;

const withTopic = async () => {
  const broker = await testBroker();
  await (await broker.admin()).createTopics({ topics: [{ topic: 't' }] });
  return broker;
};

const [set, remove, append, subtract] = [0, 1, 2, 3];
const alter = async (client: Client, key: string, operation: number, value: string | null) => {
  const reader = await client.request('IncrementalAlterConfigs', 0, (w) => {
    w.appendInt32(1).appendInt8(2);
    writeText(w, 't').appendInt32(1);
    writeText(w, key).appendInt8(operation);
    writeText(w, value).appendBoolean(false);
  });
  reader.readInt32();
  const [answer] = readList(reader, () => {
    const error = reader.readInt16();
    const text = readText(reader);
    reader.readInt8();
    return { error, text, name: readName(reader) };
  });
  return answer;
};

test('APPEND and SUBTRACT of a setting are refused and change nothing; SET and DELETE do what they say', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const retention = async () => {
    const described = await (await broker.admin()).describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: 't', configNames: ['retention.ms'] }],
    });
    return described.resources[0]?.configEntries[0]?.configValue;
  };
  expect(await alter(client, 'retention.ms', set as number, '5000')).toMatchObject({ error: 0 });
  for (const operation of [append, subtract] as number[]) {
    const answer = await alter(client, 'retention.ms', operation, '1');
    expect(answer).toMatchObject({ error: errorCode('INVALID_CONFIG') });
    expect(answer?.text).toStartWith('retention.ms can be SET or DELETEd');
  }
  expect(await retention()).toBe('5000');
  await alter(client, 'retention.ms', remove as number, null);
  expect(await retention()).toBe('-1');
});

test('a setting that would do nothing is refused with what is supported', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const refused = { error: errorCode('INVALID_CONFIG') };
  for (const [key, value] of [
    ['cleanup.policy', 'compact'],
    ['message.timestamp.type', 'LogAppendTime'],
    ['flush.messages', '1'],
    ['retention.ms', 'a day'],
    ['segment.bytes', '0'],
  ] as const)
    expect(await alter(client, key, set as number, value)).toMatchObject(refused);
  const answer = await alter(client, 'flush.messages', set as number, '1');
  expect(answer?.text).toContain('supported are cleanup.policy');
});

test('partitions are added, keep their messages, and never become fewer', async () => {
  await using broker = await withTopic();
  const admin = await broker.admin();
  using client = await rawClient(broker.port);
  await client.produce('t', 0, batchOf(['0']));
  await admin.createPartitions({ topicPartitions: [{ topic: 't', count: 3 }] });
  expect((await client.produce('t', 2, batchOf(['2']))).error).toBe(0);
  expect((await admin.fetchTopicOffsets('t')).map(({ high }) => high)).toEqual(['1', '0', '1']);
  for (const count of [3, 2, 5000])
    await expect(admin.createPartitions({ topicPartitions: [{ topic: 't', count }] })).rejects.toThrow();
});

test('added partitions are there after a restart', async () => {
  await using directory = await temporaryDirectory();
  const first = await startBroker({ dataDir: directory.path, port: 0 });
  await using clients = clientsOf(first.brokers);
  const admin = await clients.admin();
  await admin.createTopics({ topics: [{ topic: 't' }] });
  await admin.createPartitions({ topicPartitions: [{ topic: 't', count: 3 }] });
  await clients[Symbol.asyncDispose]();
  await first.stop();
  const second = await startBroker({ dataDir: directory.path, port: 0 });
  using client = await rawClient(second.port);
  expect((await client.produce('t', 2, batchOf(['2']))).error).toBe(0);
  await second.stop();
});

test('ListOffsets answers −3 to −5 as Kafka does, and refuses what it does not know', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  for (const timestamp of [1000n, 5000n, 2000n]) await client.produce('t', 0, batchOf(['x'], { timestamp }));
  const [maxTimestamp, earliestLocal, latestTiered] = [-3, -4, -5];
  expect(await client.listOffsets('t', maxTimestamp)).toEqual({ error: 0, offset: 1 });
  expect(await client.listOffsets('t', earliestLocal)).toEqual({ error: 0, offset: 0 });
  expect(await client.listOffsets('t', latestTiered)).toEqual({ error: 0, offset: -1 });
  expect((await client.listOffsets('t', -6)).error).toBe(errorCode('INVALID_REQUEST'));
});

const deleteOffset = async (client: Client, group: string) => {
  const reader = await client.request('OffsetDelete', 0, (w: Writer) => {
    writeText(w, group);
    writeList(w, ['t'], (topic) => {
      writeText(w, topic);
      w.appendInt32(1).appendInt32(0);
    });
  });
  const error = reader.readInt16();
  reader.readInt32();
  const [topic] = readList(reader, () => {
    readName(reader);
    return readList(reader, () => {
      reader.readInt32();
      return reader.readInt16();
    });
  });
  return topic?.[0] || error;
};

test('the offset of a group is deleted, unless a member still reads the topic', async () => {
  await using broker = await withTopic();
  const admin = await broker.admin();
  using client = await rawClient(broker.port);
  expect(await deleteOffset(client, 'unknown')).toBe(errorCode('GROUP_ID_NOT_FOUND'));
  const committed = async () =>
    (await admin.fetchOffsets({ groupId: 'g', topics: ['t'] }))[0]?.partitions[0]?.offset;
  await admin.setOffsets({ groupId: 'g', topic: 't', partitions: [{ partition: 0, offset: '0' }] });
  const { consumer } = await broker.consumer('t', { groupId: 'g' });
  await broker.waitForGroup('g', { members: 1 });
  expect(await deleteOffset(client, 'g')).toBe(errorCode('GROUP_SUBSCRIBED_TO_TOPIC'));
  await consumer.disconnect();
  await broker.waitForGroup('g', { state: 'Empty' });
  expect(await committed()).toBe('0');
  expect(await deleteOffset(client, 'g')).toBe(0);
  expect(await committed()).toBe('-1');
});
