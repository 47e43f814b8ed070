/** The embedded broker as kafkajs sees it. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { CompressionTypes, ConfigResourceTypes } from 'kafkajs';
import { ownProcess, testBroker } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const send = { timeout: 5000 };

test('what is produced is consumed: key, value, headers, time and order', async () => {
  await using broker = await testBroker();
  const producer = await broker.producer();
  const sent = Array.from({ length: 100 }, (_, i) => ({
    key: `key ${i}`,
    value: `value ${i}`,
    headers: { number: String(i) },
    timestamp: String(1_700_000_000_000 + i),
  }));
  await producer.send({ ...send, topic: 'orders', messages: sent });
  const consumer = broker.kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 50 });
  const got: object[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders', fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message: { key, value, headers, timestamp } }) => {
      got.push({
        key: String(key),
        value: String(value),
        headers: { number: String(headers?.number) },
        timestamp,
      });
    },
  });
  await until(() => got.length === sent.length);
  await consumer.disconnect();
  expect(got).toEqual(sent);
});

test('gzip passes through and an empty value and key stay empty', async () => {
  await using broker = await testBroker();
  const producer = await broker.producer();
  const messages = [{ value: 'a'.repeat(10_000) }, { value: '' }, { key: '', value: null }];
  await producer.send({ ...send, topic: 'zipped', messages, compression: CompressionTypes.GZIP });
  const { values } = await broker.consumer('zipped', { groupId: 'readers' });
  await until(() => values.length === 3);
  expect(values).toEqual(['a'.repeat(10_000), '', 'null']);
});

test('asking for a topic makes it, with the default number of partitions', async () => {
  await using broker = await testBroker({ defaultPartitions: 3 });
  const producer = await broker.producer();
  await producer.send({ ...send, topic: 'new', messages: [{ value: '1' }] });
  const admin = await broker.admin();
  const { topics } = await admin.fetchTopicMetadata({ topics: ['new'] });
  expect(topics[0]?.partitions.map(({ partitionId }) => partitionId).sort()).toEqual([0, 1, 2]);
});

test('a topic is created once, described and deleted', async () => {
  await using broker = await testBroker({ autoCreateTopics: false });
  const admin = await broker.admin();
  const topics = [{ topic: 'orders', numPartitions: 8 }];
  expect(await admin.createTopics({ topics })).toBe(true);
  expect(await admin.createTopics({ topics })).toBe(false);
  expect(await admin.listTopics()).toEqual(['orders']);
  expect(await admin.fetchTopicOffsets('orders')).toHaveLength(8);
  await admin.deleteTopics({ topics: ['orders'] });
  expect(await admin.listTopics()).toEqual([]);
});

test('a topic needs a good name, partitions, one replica and settings that make sense', async () => {
  await using broker = await testBroker();
  const admin = await broker.admin();
  const make = (topic: object) => admin.createTopics({ topics: [topic as { topic: string }] });
  const reasonOf = (topic: object) =>
    make(topic).catch((error) => (error.errors?.[0] ?? error).type ?? String(error));
  expect(await reasonOf({ topic: 'a/b' })).toBe('INVALID_TOPIC_EXCEPTION');
  expect(await reasonOf({ topic: '..' })).toBe('INVALID_TOPIC_EXCEPTION');
  expect(await reasonOf({ topic: 'a', numPartitions: 0 })).toBe('INVALID_PARTITIONS');
  expect(await reasonOf({ topic: 'a', numPartitions: 100_000 })).toBe('INVALID_PARTITIONS');
  expect(await reasonOf({ topic: 'a', replicationFactor: 3 })).toBe('INVALID_REPLICATION_FACTOR');
  const configEntries = [{ name: 'max.message.bytes', value: 'many' }];
  expect(await reasonOf({ topic: 'a', configEntries })).toBe('INVALID_CONFIG');
  expect(await admin.listTopics()).toEqual([]);
});

test('a message above max.message.bytes is refused, and taken once the topic allows it', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer({ retry: { retries: 0 } })]);
  const big = { ...send, topic: 'big', messages: [{ value: 'x'.repeat(2_000_000) }] };
  await admin.createTopics({ topics: [{ topic: 'big' }] });
  await expect(producer.send(big)).rejects.toThrow('larger than the max message size');

  const resource = { type: ConfigResourceTypes.TOPIC, name: 'big' };
  const limit = { name: 'max.message.bytes', value: '3000000' };
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [limit] }] });
  const described = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
  const entry = described.resources[0]?.configEntries.find(({ configName }) => configName === limit.name);
  expect(entry).toMatchObject({ configValue: limit.value, isDefault: false });

  await producer.send(big);
  const { values } = await broker.consumer('big', { groupId: 'readers', maxBytesPerPartition: 1000 });
  await until(() => values.length === 1);
  expect(values[0]).toHaveLength(2_000_000);
});

test('offsets are found by time: earliest, latest, and the first message not older', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer()]);
  for (const from of [1000, 2000, 3000]) {
    const messages = [0, 1, 2].map((i) => ({ value: 'x', timestamp: String(from + i) }));
    const compression = from === 2000 ? CompressionTypes.GZIP : CompressionTypes.None;
    await producer.send({ ...send, topic: 'timed', messages, compression });
  }
  expect(await admin.fetchTopicOffsets('timed')).toMatchObject([{ low: '0', high: '9' }]);
  const at = async (time: number) => (await admin.fetchTopicOffsetsByTimestamp('timed', time))[0]?.offset;
  expect(await at(1)).toBe('0');
  expect(await at(1001)).toBe('1');
  expect(await at(2002)).toBe('5');
  expect(await at(2500)).toBe('6');
});

test('of two consumers in a group, the one left takes over when the other dies', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer()]);
  await admin.createTopics({ topics: [{ topic: 'shared', numPartitions: 4 }] });
  const members = async () => {
    const [group] = (await admin.describeGroups(['pair'])).groups;
    return group?.state === 'Stable' ? group.members.length : 0;
  };
  const produce = (prefix: string) => {
    const messages = Array.from({ length: 40 }, (_, i) => ({ value: `${prefix}${i}` }));
    return producer.send({ ...send, topic: 'shared', messages });
  };
  const timing = { sessionTimeout: 1000, heartbeatInterval: 100, rebalanceTimeout: 3000 };
  const { values } = await broker.consumer('shared', { groupId: 'pair', ...timing });
  await using other = await ownProcess('consumer', broker.brokers, 'shared', 'pair');
  await until(async () => (await members()) === 2);
  await produce('both');
  await other.printed(/(both)/);
  await until(() => values.length === 20);

  await other.kill();
  await until(async () => (await members()) === 1);
  await produce('one');
  await until(() => values.filter((value) => value.startsWith('one')).length === 40);
});

test('of two consumers in a group, the one left takes over at once when the other leaves', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer()]);
  await admin.createTopics({ topics: [{ topic: 'shared', numPartitions: 2 }] });
  const config = {
    groupId: 'pair',
    sessionTimeout: 30_000,
    heartbeatInterval: 100,
    rebalanceTimeout: 30_000,
  };
  const [stays, leaves] = await Promise.all([1, 2].map(() => broker.consumer('shared', config)));
  const members = async () => (await admin.describeGroups(['pair'])).groups[0]?.members;
  await until(
    async () => (await members())?.filter(({ memberAssignment }) => memberAssignment.length).length === 2,
  );
  await leaves?.consumer.disconnect();
  await producer.send({ ...send, topic: 'shared', messages: [{ value: '1' }, { value: '2' }] });
  await until(() => stays?.values.length === 2);
});

test('a consumer goes on where its group committed', async () => {
  await using broker = await testBroker();
  const producer = await broker.producer();
  const produce = (value: string) => producer.send({ ...send, topic: 'kept', messages: [{ value }] });
  await produce('1');
  const before = await broker.consumer('kept', { groupId: 'g' });
  await until(() => before.values.length === 1);
  await before.consumer.disconnect();
  await produce('2');
  const after = await broker.consumer('kept', { groupId: 'g' });
  await until(() => after.values.length === 1);
  expect(after.values).toEqual(['2']);
});

test('groups are listed, described and deleted', async () => {
  await using broker = await testBroker();
  const [admin, { consumer }] = await Promise.all([
    broker.admin(),
    broker.consumer('orders', { groupId: 'listed' }),
  ]);
  const state = async () => (await admin.describeGroups(['listed'])).groups[0]?.state;
  await until(async () => (await state()) === 'Stable');
  expect((await admin.listGroups()).groups).toEqual([{ groupId: 'listed', protocolType: 'consumer' }]);
  await expect(admin.deleteGroups(['listed'])).rejects.toThrow();
  await consumer.disconnect();
  expect(await state()).toBe('Empty');
  await admin.deleteGroups(['listed']);
  expect(await state()).toBe('Dead');
});

test('a produce whose answer was lost is not stored twice by an idempotent producer', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer({ idempotent: true })]);
  await producer.send({ ...send, topic: 'once', messages: [{ value: '1' }] });
  broker.faults.drop('Produce', 'after');
  await producer.send({ ...send, topic: 'once', messages: [{ value: '2' }] });
  await producer.send({ ...send, topic: 'once', messages: [{ value: '3' }] });
  expect(await admin.fetchTopicOffsets('once')).toMatchObject([{ high: '3' }]);
  const { values } = await broker.consumer('once', { groupId: 'g' });
  await until(() => values.length === 3);
  expect(values).toEqual(['1', '2', '3']);
});

test('a planned error is answered as often as asked for, and clients get over it', async () => {
  await using broker = await testBroker();
  const producer = await broker.producer();
  await producer.send({ ...send, topic: 'faulty', messages: [{ value: '1' }] });
  broker.faults.error('Produce', 'NOT_LEADER_OR_FOLLOWER', 2);
  broker.faults.error('FindCoordinator', 'COORDINATOR_NOT_AVAILABLE', 1);
  broker.faults.drop('Fetch', 'before', 1);
  broker.faults.delay('Fetch', 100);
  await producer.send({ ...send, topic: 'faulty', messages: [{ value: '2' }] });
  const { values } = await broker.consumer('faulty', { groupId: 'g' });
  await until(() => values.length === 2);
  expect(values).toEqual(['1', '2']);
});

test('a full disk is answered with an error worth trying again; nothing acknowledged is lost', async () => {
  await using broker = await testBroker();
  const [admin, producer, hasty] = await Promise.all([
    broker.admin(),
    broker.producer(),
    broker.producer({ retry: { retries: 0 } }),
  ]);
  const message = (value: string) => ({ ...send, topic: 'full', messages: [{ value }] });
  await producer.send(message('before'));
  const file = Bun.file(join(broker.dataDir, 'topics', 'full.1', '0', '00000000000000000000.log'));
  const { size } = await file.stat();
  broker.faults.fillDisk(true);
  expect(await hasty.send(message('lost')).catch((error) => error)).toMatchObject({
    cause: { type: 'KAFKA_STORAGE_ERROR', retriable: true },
  });
  expect((await file.stat()).size).toBe(size);
  const offsets = { groupId: 'g', topic: 'full', partitions: [{ partition: 0, offset: '1' }] };
  const stubborn = Promise.all([producer.send(message('during')), admin.setOffsets(offsets)]);
  await until(() => broker.lines.some((line) => line.includes('disk full; clients retry')));
  broker.faults.fillDisk(false);
  await stubborn;
  await producer.send(message('after'));
  const { values } = await broker.consumer('full', { groupId: 'other' });
  await until(() => values.length === 3);
  expect(values).toEqual(['before', 'during', 'after']);
  expect((await admin.fetchOffsets({ groupId: 'g', topics: ['full'] }))[0]?.partitions[0]?.offset).toBe('1');
});
