/** Topic ids and the ends of leader epochs, as a broker answers for them. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { startBroker } from 'kafka-broker';
import { createKafkaOffsets } from '../../src/ingest/kafka-offsets.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { silent, topicName, until } from '../support/kafka-and-postgres.ts';
import { kafkaClient, patientKafkaClient } from '../support/pipeline.ts';

setDefaultTimeout(60_000);

const open = async () => {
  const [kafka, patientKafka] = await Promise.all([kafkaClient(), patientKafkaClient()]);
  const admin = patientKafka.admin();
  await admin.connect();
  const topic = topicName();
  const create = () => admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true });
  await create();
  const identity = createKafkaOffsets(kafka, { groupId: topic, topic }, silent);
  return {
    kafka,
    identity,
    create,
    remove: () => admin.deleteTopics({ topics: [topic] }),
    async send(partition: number, values: string[]) {
      const producer = patientKafka.producer();
      await producer.connect();
      await producer.send({ topic, messages: values.map((value) => ({ value, partition })) });
      await producer.disconnect();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([identity.close(), admin.disconnect()]);
    },
  };
};

test('a topic keeps its id, and another one of its name has another id', async () => {
  await using world = await open();
  const id = await world.identity.topicId();
  expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  await world.identity.close();
  expect(await world.identity.topicId()).toBe(id);
  await world.remove();
  await until(() =>
    world.identity.topicId().then(
      () => false,
      (error) => error.type === 'UNKNOWN_TOPIC_OR_PARTITION',
    ),
  );
  await until(() =>
    world.create().then(
      () => true,
      () => false,
    ),
  );
  const next = await until(() => world.identity.topicId().catch(() => undefined));
  expect(next).toMatch(/^[0-9a-f-]{36}$/);
  expect(next).not.toBe(id);
});

test('a leader knows where the log of its epoch ends, and no epoch after it', async () => {
  await using world = await open();
  await world.send(0, ['a', 'b', 'c']);
  await world.send(1, ['d']);
  await world.identity.leaders();
  const ends = await world.identity.epochEnds([
    { partition: 0, leaderEpoch: 0 },
    { partition: 1, leaderEpoch: 0 },
  ]);
  expect(ends).toEqual(
    new Map([
      [0, { leaderEpoch: 0, end: 3n }],
      [1, { leaderEpoch: 0, end: 1n }],
    ]),
  );
  const later = await world.identity.epochEnds([{ partition: 0, leaderEpoch: 7 }]);
  expect([...later]).toEqual([[0, undefined]]);
  expect(await world.identity.epochEnds([])).toEqual(new Map());
});

test('a broker that supports neither is not asked', async () => {
  const broker = await startBroker({ port: 0 });
  broker.faults.limit('Metadata', 9);
  broker.faults.limit('OffsetForLeaderEpoch', 2);
  const address = { brokers: [broker.brokers], ssl: false, sasl: undefined };
  const identity = createKafkaOffsets(
    createKafka(address, 'test', silent),
    { groupId: 'group', topic: 'orders' },
    silent,
  );
  const admin = createKafka(address, 'test', silent).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'orders' }] });
  expect(await identity.topicId()).toBeUndefined();
  await identity.leaders();
  expect(await identity.epochEnds([{ partition: 0, leaderEpoch: 0 }])).toEqual(new Map());
  await Promise.all([admin.disconnect(), identity.close()]);
  await broker.stop();
});

test('after an error it connects again', async () => {
  const broker = await startBroker({ port: 0 });
  const address = { brokers: [broker.brokers], ssl: false, sasl: undefined };
  const identity = createKafkaOffsets(
    createKafka(address, 'test', silent),
    { groupId: 'group', topic: 'orders' },
    silent,
  );
  const admin = createKafka(address, 'test', silent).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'orders' }] });
  const id = await identity.topicId();
  broker.faults.drop('OffsetForLeaderEpoch', 'before');
  await expect(identity.epochEnds([{ partition: 0, leaderEpoch: 0 }])).rejects.toThrow();
  expect(await identity.epochEnds([{ partition: 0, leaderEpoch: 0 }])).toEqual(
    new Map([[0, { leaderEpoch: 0, end: 0n }]]),
  );
  expect(await identity.topicId()).toBe(id);
  await Promise.all([admin.disconnect(), identity.close()]);
  await broker.stop();
});
