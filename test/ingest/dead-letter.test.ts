import { expect, setDefaultTimeout, test } from 'bun:test';
import type { IHeaders } from 'kafkajs';
import { testBroker } from '../../packages/kafka-broker/test/support/broker.ts';
import { createDeadLetters, type DeadLetter } from '../../src/ingest/dead-letter.ts';
import { changeTopicConfig, readTopicConfig } from '../../src/kafka/topic-config.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent, topicName, until } from '../support/kafka-and-postgres.ts';
import { toOrder } from '../support/order-parser.ts';
import { kafkaClient, readTopic } from '../support/pipeline.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(60_000);

const letterOf = (value: Buffer | string | null, more: Partial<DeadLetter['message']> = {}): DeadLetter => ({
  message: {
    topic: 'orders',
    partition: 3,
    offset: '42',
    key: Buffer.from('the key'),
    value: typeof value === 'string' ? Buffer.from(value) : value,
    timestamp: '1700000000000',
    headers: {},
    ...more,
  },
  stage: 'validate',
  error: 'ValidationError',
  reason: 'order_uid is missing',
});

/** A dead-letter topic of the test's own and what sends to it. */
const openLetters = async (addresses?: string[], partitions = 1) => {
  const kafka = await kafkaClient(addresses);
  const topic = topicName();
  const topics = { topic, deadLetterTopic: `${topic}_dlq`, partitions };
  await ensureTopics(kafka, topics, silent);
  const rooms: number[] = [];
  const letters = createDeadLetters({
    kafka,
    topic: topics.deadLetterTopic,
    async checkTopic(letterBytes) {
      rooms.push(letterBytes);
      await ensureTopics(kafka, { ...topics, letterBytes }, silent);
    },
  });
  await letters.connect();
  return {
    ...letters,
    kafka,
    rooms,
    topic: topics.deadLetterTopic,
    sent: () => readTopic(topics.deadLetterTopic),
    /** Resolves when Kafka names the new setting: it answers before that, and its brokers use it soon after. */
    async configure(name: string, value: string) {
      const admin = kafka.admin();
      await admin.connect();
      await changeTopicConfig(admin, topics.deadLetterTopic, new Map([[name, value]]));
      await until(
        async () => (await readTopicConfig(admin, topics.deadLetterTopic)).values.get(name) === value,
      );
      await admin.disconnect();
    },
    [Symbol.asyncDispose]: () => letters.disconnect(),
  };
};

test('key, value, headers and timestamp are unchanged, and six headers have the origin and the reason', async () => {
  await using letters = await openLetters();
  const headers: IHeaders = {
    bytes: Buffer.from([0, 255, 254]),
    none: null as never,
    empty: Buffer.alloc(0),
    twice: [Buffer.from('a'), null as never, Buffer.from('b')],
    ключ: Buffer.from('значение'),
    toString: Buffer.from('x'),
  };
  Object.defineProperty(headers, '__proto__', { value: Buffer.from('y'), enumerable: true });
  const value = Buffer.from([0xff, 0x00, 0xd0]);
  await letters.send([letterOf(value, { headers, key: Buffer.from([0xff, 0xfe]) })]);
  const [letter] = await letters.sent();
  expect(letter?.key).toEqual(Buffer.from([0xff, 0xfe]));
  expect(letter?.value).toEqual(value);
  expect(letter?.timestamp).toBe('1700000000000');
  const all = new Map(Object.entries(letter?.headers ?? {}));
  for (const [name, held] of Object.entries(headers)) expect(all.get(name), name).toEqual(held as never);
  const why = [...all].filter(([name]) => !Object.hasOwn(headers, name));
  expect(Object.fromEntries(why.map(([name, held]) => [name, String(held)]))).toEqual({
    '__connect.errors.topic': 'orders',
    '__connect.errors.partition': '3',
    '__connect.errors.offset': '42',
    '__connect.errors.stage': 'validate',
    '__connect.errors.exception.class.name': 'ValidationError',
    '__connect.errors.exception.message': 'order_uid is missing',
  });
});

test('a redriven message that fails again has the headers of its last failure only', async () => {
  await using letters = await openLetters();
  const headers = { '__connect.errors.stage': [Buffer.from('parse'), Buffer.from('store')] };
  await letters.send([letterOf('again', { headers })]);
  expect(String((await letters.sent())[0]?.headers['__connect.errors.stage'])).toBe('validate');
});

test('a null key or value stays null, an empty one stays empty', async () => {
  await using letters = await openLetters();
  await letters.send([letterOf(null, { key: null }), letterOf('', { key: Buffer.alloc(0) })]);
  const [none, empty] = await letters.sent();
  expect([none?.key, none?.value]).toEqual([null, null]);
  expect([empty?.key, empty?.value]).toEqual([Buffer.alloc(0), Buffer.alloc(0)]);
});

test('timestamps in any order, before 1970 or missing, are kept', async () => {
  await using letters = await openLetters();
  const times = ['1700000000000', '5', '1600000000000', '0', '-1', '1700000000001'];
  await letters.send(times.map((timestamp) => letterOf(timestamp, { timestamp })));
  expect((await letters.sent()).map(({ timestamp }) => timestamp)).toEqual(times);
});

test('letters that a broker stored without acknowledging cause no loss of later ones', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  await letters.send([letterOf('first')]);
  // As often as kafkajs tries.
  broker.faults.drop('Produce', 'after', 6);
  const unlucky = [letterOf('unlucky')];
  await expect(letters.send(unlucky)).rejects.toThrow();
  await letters.send([letterOf('second')]);
  await letters.send(unlucky);
  await letters.send([letterOf('third')]);
  const { values } = await broker.consumer(letters.topic, { groupId: 'reader' });
  const admin = await broker.admin();
  const [end] = await admin.fetchTopicOffsets(letters.topic);
  await until(() => values.length === Number(end?.high));
  expect(new Set(values)).toEqual(new Set(['first', 'unlucky', 'second', 'third']));
});

test('after a partial failure, acknowledged letters are not sent again', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  const large = Array.from({ length: 4 }, (_, n) => letterOf(`${n}${'x'.repeat(400_000)}`));
  // The first two requests pass.
  broker.faults.delay('Produce', 0, 2);
  broker.faults.drop('Produce', 'before', 6);
  await expect(letters.send(large)).rejects.toThrow();
  await letters.send(large);
  await letters.send(large);
  const admin = await broker.admin();
  expect((await admin.fetchTopicOffsets(letters.topic))[0]?.high).toBe('4');
});

test('of a batch that one partition refuses as too large, no letter of the others is sent twice', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers], 4);
  broker.faults.error('Produce', 'MESSAGE_TOO_LARGE', { topic: letters.topic, partition: 1, times: 2 });
  const keys = Array.from({ length: 40 }, (_, n) => Buffer.from(`key ${n}`));
  await letters.send(keys.map((key) => letterOf(String(key), { key })));
  const admin = await broker.admin();
  const ends = await admin.fetchTopicOffsets(letters.topic);
  expect(ends.reduce((sum, { high }) => sum + Number(high), 0)).toBe(40);
});

test('a letter whose timestamp the topic refuses has it in a header', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  broker.faults.error('Produce', 'INVALID_TIMESTAMP', { topic: letters.topic });
  await letters.send([letterOf('late')]);
  const consumer = letters.kafka.consumer({ groupId: 'reader', maxWaitTimeInMs: 50 });
  const headers: (IHeaders | undefined)[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic: letters.topic, fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message }) => void headers.push(message.headers) });
  await until(() => headers.length === 1);
  await consumer.disconnect();
  expect(String(headers[0]?.['__connect.errors.original.timestamp'])).toBe('1700000000000');
});

test('a letter that no limit lets through is an error whose reason names topic, setting and command', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  broker.faults.error('Produce', 'MESSAGE_TOO_LARGE', { topic: letters.topic, times: 100 });
  const error = await letters.send([letterOf('large')]).catch((error: unknown) => error);
  const reason = reasonOf(error);
  expect(reason).toContain(`max.message.bytes of the topic ${letters.topic}`);
  expect(reason).toContain(`--entity-name ${letters.topic} --add-config max.message.bytes=`);
});

test('a topic that was deleted is created again with the settings with which letters last, and the letter is in it', async () => {
  await using letters = await openLetters();
  await letters.send([letterOf('first')]);
  const admin = letters.kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [letters.topic] });
  await letters.send([letterOf('second')]);
  expect((await letters.sent()).map(({ value }) => String(value))).toEqual(['second']);
  expect((await readTopicConfig(admin, letters.topic)).values.get('retention.ms')).toBe('-1');
  await admin.disconnect();
});

test('a deleted topic that may not be created is an error whose reason names it, and letters are sent once it exists', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  const admin = await broker.admin();
  await admin.deleteTopics({ topics: [letters.topic] });
  broker.faults.error('CreateTopics', 'TOPIC_AUTHORIZATION_FAILED', 50);
  const error = await letters.send([letterOf('first')]).catch((error: unknown) => error);
  expect(reasonOf(error)).toBe(
    `the topic ${letters.topic} does not exist and cannot be created: permission denied (TOPIC_AUTHORIZATION_FAILED)`,
  );
  broker.faults.clear();
  await letters.send([letterOf('first')]);
  expect((await admin.fetchTopicOffsets(letters.topic))[0]?.high).toBe('1');
});

test('a topic to which letters may not be written, or without a leader, is an error whose reason names it', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  const reasonOfSending = async () =>
    reasonOf(await letters.send([letterOf('first')]).catch((error: unknown) => error));
  const prefix = `letters cannot be written to the dead-letter topic ${letters.topic}`;
  broker.faults.error('Produce', 'TOPIC_AUTHORIZATION_FAILED', { topic: letters.topic, times: 50 });
  expect(await reasonOfSending()).toBe(`${prefix}: permission denied (TOPIC_AUTHORIZATION_FAILED)`);
  broker.faults.clear();
  broker.faults.error('Produce', 'NOT_ENOUGH_REPLICAS', { topic: letters.topic, times: 50 });
  expect(await reasonOfSending()).toBe(`${prefix}: too few in-sync replicas (NOT_ENOUGH_REPLICAS)`);
  broker.faults.clear();
  // By its type: the text of another error may begin with the same words.
  broker.faults.error('Produce', 'CLUSTER_AUTHORIZATION_FAILED', { topic: letters.topic, times: 50 });
  expect(await reasonOfSending()).toBe('permission denied (CLUSTER_AUTHORIZATION_FAILED)');
  broker.faults.clear();
  broker.faults.loseLeader(letters.topic, 0);
  expect(await reasonOfSending()).toBe(`${prefix}: no leader (LEADER_NOT_AVAILABLE)`);
});

test('letters too large for one batch are sent alone, and one too large for the topic raises its limit', async () => {
  await using letters = await openLetters();
  await letters.configure('max.message.bytes', '20000');
  const bytes = (length: number) => crypto.getRandomValues(Buffer.alloc(length)) as Buffer;
  const values = [bytes(9_000), bytes(9_000), bytes(9_000), bytes(60_000), bytes(10)];
  await letters.send(values.map((value) => letterOf(value)));
  expect((await letters.sent()).map(({ value }) => value)).toEqual(values);
  expect(letters.rooms).toHaveLength(1);
  expect(letters.rooms[0]).toBeGreaterThan(60_000);
});

test('a letter is sent again until the brokers use the raised limit', async () => {
  await using broker = await testBroker();
  await using letters = await openLetters([broker.brokers]);
  broker.faults.error('Produce', 'MESSAGE_TOO_LARGE', 3);
  await letters.send([letterOf('large')]);
  expect(letters.rooms).toHaveLength(1);
  const admin = await broker.admin();
  expect((await admin.fetchTopicOffsets(letters.topic))[0]?.high).toBe('1');
});

testWith(Boolean(process.env.KAFKA_BROKERS), 'a real Kafka (KAFKA_BROKERS)')(
  'a letter whose timestamp the topic rejects is sent without it',
  async () => {
    await using letters = await openLetters();
    await letters.configure('message.timestamp.before.max.ms', '1000');
    const now = Date.now();
    await letters.send([letterOf('old'), letterOf('new', { timestamp: String(now) })]);
    const sent = await letters.sent();
    expect(sent.map(({ value }) => String(value))).toEqual(['old', 'new']);
    expect(Number(sent[0]?.timestamp)).toBeGreaterThanOrEqual(now);
    expect(sent[1]?.timestamp).toBe(String(now));
  },
);

test('a reason with every fault is in one header, and fits', async () => {
  await using letters = await openLetters();
  const item = { ...buildOrder().items[0], sale: 101, rid: '' };
  const parsed = toOrder(buildOrder({ items: Array.from({ length: 1000 }, () => item) as never }));
  const reason = 'reason' in parsed ? parsed.reason : '';
  await letters.send([{ ...letterOf('{}'), reason }]);
  const [letter] = await letters.sent();
  const header = letter?.headers['__connect.errors.exception.message'];
  expect(String(header)).toBe(reason);
  expect(Buffer.byteLength(reason)).toBeWithin(500, 4_097);
});
