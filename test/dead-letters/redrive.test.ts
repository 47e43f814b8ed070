/** The command on Kafka: reading, redriving, and interruptions. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory, testBroker } from '../../packages/kafka-broker/test/support/broker.ts';
import { startKafka } from '../../scripts/services/kafka.ts';
import { openLetters } from '../../src/dead-letters/letters.ts';
import { createLetterOperations } from '../../src/dead-letters/operations.ts';
import { createReader } from '../../src/dead-letters/reader.ts';
import { createDeadLetters, type DeadLetter } from '../../src/ingest/dead-letter.ts';
import { retryKafkaFor } from '../../src/kafka/retry.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { buildOrder } from '../support/build-order.ts';
import { brokers, silent, topicName, until } from '../support/kafka-and-postgres.ts';
import { kafkaClient, openPipeline, patientKafkaClient, readTopic } from '../support/pipeline.ts';
import { startProgram } from '../support/program.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(180_000);

const onRealKafka = testWith(Boolean(process.env.KAFKA_BROKERS), 'a real Kafka (KAFKA_BROKERS)');

type Topics = { topic: string; deadLetterTopic: string };

const start = async ({ topic, deadLetterTopic }: Topics, args: string[], addresses?: string[]) =>
  startProgram(
    {
      KAFKA_BROKERS: String(addresses ?? (await brokers())),
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: deadLetterTopic,
    },
    ['scripts/dead-letters.ts', ...args],
  );
const run = async (topics: Topics, ...args: string[]) => (await start(topics, args)).ended();

let away: ReturnType<typeof startProgram>;
beforeAll(async () => {
  // It runs until its timeout, while the other tests run.
  away = await start({ topic: 'a', deadLetterTopic: 'b' }, ['list'], ['127.0.0.1:1']);
});
afterAll(() => away[Symbol.asyncDispose]());

const json = (output: string) =>
  output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));

const messageOf = (order: { order_uid: string } & Record<string, unknown>) => ({
  key: order.order_uid,
  value: JSON.stringify(order),
});

/** A topic of orders and one of dead letters, with a producer of letters. */
const openTopics = async (partitions = 1, addresses?: string[]) => {
  const kafka = await patientKafkaClient(addresses);
  const topic = topicName();
  const topics = { topic, deadLetterTopic: `${topic}_dlq`, partitions };
  await ensureTopics(kafka, topics, silent);
  const letters = createDeadLetters({ kafka, topic: topics.deadLetterTopic, checkTopic: async () => {} });
  await letters.connect();
  const admin = kafka.admin();
  await admin.connect();
  return {
    ...topics,
    kafka,
    admin,
    async bury(values: (string | Buffer)[], more: Partial<DeadLetter['message']> = {}) {
      const message = {
        topic,
        partition: 0,
        offset: '0',
        key: Buffer.from('key'),
        timestamp: '1700000000000',
      };
      await letters.send(
        values.map((value, n) => ({
          message: { ...message, headers: {}, offset: String(n), value: Buffer.from(value), ...more },
          stage: 'validate' as const,
          error: 'ValidationError',
          reason: 'locale is missing',
        })),
      );
    },
    /** The number of messages in the topic of orders. */
    sent: async () => (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0),
    async [Symbol.asyncDispose]() {
      await Promise.all([letters.disconnect(), admin.disconnect()]);
    },
  };
};

/** Reads the letters of a topic without the command. */
const readLetters = async (topic: string) => {
  const reader = createReader(await kafkaClient(), retryKafkaFor(20_000, 'test'));
  await reader.connect();
  const letters = await openLetters({ reader, topic });
  const found = (await Array.fromAsync(letters.matching({}))).flat();
  // A letter in the middle of a batch is found by its offset.
  const middle = found[found.length >> 1];
  if (middle) expect(await letters.at(middle.partition, BigInt(middle.offset))).toEqual(middle);
  await reader.close();
  return { exists: letters.exists, letters: found, values: found.map(({ value }) => String(value)) };
};

test('a bad message becomes a letter, is listed, fixed, sent again, and stored', async () => {
  await using pipeline = await openPipeline();
  const order = buildOrder({ order_uid: 'a-letter-uid' });
  const bad = { ...order, locale: 'de' };
  const headers = { trace: 'abc', '__redrive.count': 'x', '__redrive.timestamp': 'x' };
  await pipeline.send([{ ...messageOf(bad), headers, timestamp: '1700000000123' }]);
  pipeline.join();
  await pipeline.drained();

  const table = await run(pipeline, 'list', '--reason', 'LOCALE');
  expect(table).toMatchObject({ status: 0, errors: '' });
  expect(table.output).toContain('a-letter-uid  ValidationError: locale is not one of en, ru');
  expect(table.output).toContain(`1 letter in ${pipeline.deadLetterTopic}`);
  const shown = await run(pipeline, 'show', '0/0');
  expect(shown.output).toContain(`From      0/0 of ${pipeline.topic}`);
  expect(shown.output).toContain('  "locale": "de",');

  const patch = JSON.stringify([{ op: 'replace', path: '/locale', value: 'en' }]);
  const dry = await run(pipeline, 'redrive', '--fix', patch, '--dry-run');
  expect(dry).toMatchObject({ status: 0, output: '0/0  would be sent\n' });
  const redriven = await run(pipeline, 'redrive', '--fix', patch);
  expect(redriven).toMatchObject({ status: 0, errors: `1 sent to ${pipeline.topic}, 0 skipped\n` });
  const stored = await until(() => pipeline.store.find(order.order_uid));
  expect(JSON.parse(stored)).toMatchObject({ customer_id: order.customer_id, locale: 'en' });

  const [, message] = await readTopic(pipeline.topic);
  expect(message?.key).toEqual(Buffer.from('a-letter-uid'));
  expect(Math.abs(Date.now() - Number(message?.timestamp))).toBeLessThan(60_000);
  expect(Object.entries(message?.headers ?? {}).map(([name, value]) => [name, String(value)])).toEqual([
    ['trace', 'abc'],
    ['__redrive.count', '1'],
    ['__redrive.timestamp', '1700000000123'],
    ['__redrive.letter', '0/0'],
  ]);
  const again = await run(pipeline, 'redrive', '--fix', patch);
  expect(again).toMatchObject({ status: 0, errors: `0 sent to ${pipeline.topic}, 0 skipped\n` });
});

test('an invalid order is skipped and listed, and a message that fails again becomes a letter with its redrives', async () => {
  await using pipeline = await openPipeline();
  const order = buildOrder({ order_uid: 'another-uid' });
  // A forged mark of the second letter.
  const forged = {
    value: JSON.stringify([`0/1/${pipeline.topic}/0/2`]),
    headers: { '__redrive.marks': '1' },
  };
  await pipeline.send([messageOf(order), forged, messageOf({ ...order, sm_id: 77 })]);
  pipeline.join();
  await pipeline.drained();

  const redriven = await run(pipeline, 'redrive', '--json');
  expect(redriven.status).toBe(1);
  expect(json(redriven.output)).toEqual([
    {
      letter: '0/0',
      outcome: 'skipped',
      reason: 'it is not a valid order: the message is a list: send each order as a message of its own',
    },
    { letter: '0/1', outcome: 'sent' },
  ]);
  await pipeline.drained();
  const listed = json((await run(pipeline, 'list', '--json')).output);
  expect(listed).toMatchObject([
    { letter: '0/0', stage: 'validate', redrives: 0, redriven: false, value: forged.value },
    // The consumer and the mark race for the offset.
    {
      letter: expect.stringMatching(/^0\/[23]$/),
      stage: 'store',
      error: 'OrderConflict',
      redrives: 1,
      from: { offset: '3' },
    },
  ]);

  // Unchanged, it becomes a letter again. Letters of another topic are skipped.
  expect((await run(pipeline, 'redrive', '--unchecked', '--stage', 'validate')).status).toBe(0);
  await pipeline.drained();
  const other = await run({ ...pipeline, topic: 'elsewhere' }, 'redrive', '--dry-run', '--unchecked');
  expect(other.status).toBe(1);
  expect(other.output).toContain(`it came from the topic ${pipeline.topic}: use --from ${pipeline.topic}`);
  const from = await run(
    { ...pipeline, topic: 'elsewhere' },
    'redrive',
    '--dry-run',
    '--from',
    pipeline.topic,
  );
  expect(from.output).toMatch(/^0\/[23] {2}would be sent$/m);
  expect(from.output).toMatch(/^0\/[45] {2}skipped: it is not a valid order/m);
});

test('a redrive that is stopped, killed and repeated sends every letter, none more than twice, and finally none', async () => {
  await using topics = await openTopics(3);
  const count = 60;
  // Incompressible, so that it takes several fetches.
  const padding = () => Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString('base64');
  const orders = Array.from({ length: count }, (_, n) => ({
    ...buildOrder({ order_uid: `letter-${n}-uid` }),
    padding: padding(),
  }));
  await topics.bury(
    orders.map((order) => JSON.stringify(order)),
    { partition: 2 },
  );
  const values = async () =>
    (await readTopic(topics.topic)).map(({ value }) => JSON.parse(String(value)).order_uid as string);

  const endedAfterFirst = async (signal: NodeJS.Signals) => {
    const before = await topics.sent();
    const program = await start(topics, ['redrive']);
    await until(async () => (await topics.sent()) > before);
    return program.stop(signal);
  };
  expect(await endedAfterFirst('SIGINT')).toMatchObject({
    status: 130,
    errors: expect.stringContaining('Interrupted'),
  });
  const first = await values();
  expect(first.length).toBeLessThan(count);
  expect(new Set(first).size).toBe(first.length);
  await endedAfterFirst('SIGKILL');
  expect(await topics.sent()).toBeLessThan(count);
  expect(await run(topics, 'redrive')).toMatchObject({ status: 0 });

  const all = await values();
  expect(new Set(all).size).toBe(count);
  for (const order of orders) expect(all.filter((uid) => uid === order.order_uid).length).toBeLessThan(3);
  for (const uid of first) expect(all.filter((other) => other === uid)).toHaveLength(1);
  expect(await run(topics, 'redrive')).toMatchObject({ status: 0, errors: expect.stringMatching(/^0 sent/) });
  expect(await topics.sent()).toBe(all.length);
  const used = (await topics.admin.fetchTopicOffsets(topics.topic)).filter(({ high }) => high !== '0');
  expect(used.map(({ partition }) => partition)).toEqual([2]);
});

test('a letter whose redrive was killed between message and mark is sent a second time, and never a third', async () => {
  await using broker = await testBroker();
  await using topics = await openTopics(1, [broker.brokers]);
  await topics.bury([JSON.stringify(buildOrder())]);
  broker.faults.delay('Produce', 0);
  broker.faults.delay('Produce', 3_000);
  const killed = await start(topics, ['redrive'], [broker.brokers]);
  await until(async () => (await topics.sent()) === 1);
  await killed.stop('SIGKILL');
  for (const sent of [1, 0]) {
    const repeated = await (await start(topics, ['redrive'], [broker.brokers])).ended();
    expect(repeated).toMatchObject({ status: 0, errors: `${sent} sent to ${topics.topic}, 0 skipped\n` });
  }
  expect(await topics.sent()).toBe(2);
});

/** A topic with a retention of an hour on a broker that applies it several times a second, and no consumer. */
const keepsOldLetters = async (address: string) => {
  await using topics = await openTopics(2, [address]);
  const { topic, deadLetterTopic, admin } = topics;
  const configEntries = [{ name: 'retention.ms', value: '3600000' }];
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] });
  const [first, second] = [
    buildOrder({ order_uid: 'old-letter-1' }),
    buildOrder({ order_uid: 'old-letter-2' }),
  ];
  await topics.bury([JSON.stringify(first), JSON.stringify(second)], { partition: 0 });

  const command = await start(topics, ['redrive', '--uid', first.order_uid], [address]);
  expect(await command.ended()).toMatchObject({ status: 0, errors: `1 sent to ${topic}, 0 skipped\n` });
  const console = createLetterOperations({
    kafka: { brokers: [address], ssl: false, sasl: undefined },
    topic,
    deadLetterTopic,
    rules: defaultRules,
    maxBatchBytes: null,
  });
  const run = { signal: AbortSignal.timeout(20_000) };
  expect(await console.redrive({ filter: {}, isDry: false }, run)).toMatchObject({ done: 1, skipped: 0 });

  // Twice: the broker may have looked at the first partition before the redrive.
  const old = topics.kafka.producer();
  await old.connect();
  for (let deleted = 1; deleted <= 2; deleted++) {
    await old.send({ topic, messages: [{ value: 'old', partition: 1, timestamp: '1700000000000' }] });
    await until(async () => {
      const offsets = await admin.fetchTopicOffsets(topic);
      return offsets.find(({ partition }) => partition === 1)?.low === String(deleted);
    });
  }
  await old.disconnect();
  const kept = await readTopic(topic, [address]);
  expect(kept.map(({ value }) => JSON.parse(String(value)).order_uid)).toEqual([
    first.order_uid,
    second.order_uid,
  ]);
};

test('a redriven message outlasts the retention of its topic, however old its letter is', async () => {
  await using broker = await testBroker({ retentionCheckMs: 100 });
  await keepsOldLetters(broker.brokers);
});

onRealKafka(
  'Apache Kafka does not delete a redriven message for the age of its letter',
  async () => {
    await using folder = await temporaryDirectory();
    const dir = join(folder.path, 'kafka');
    mkdirSync(dir);
    const often = { 'log.retention.check.interval.ms': '200', 'log.initial.task.delay.ms': '200' };
    const java = ['-Xms128m', '-Xmx320m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
    const kafka = await startKafka({ dir, more: often, java });
    try {
      await keepsOldLetters(kafka.brokers);
    } finally {
      await kafka.stop();
    }
  },
  240_000,
);

test('a missing topic and an empty topic have no letters', async () => {
  expect(await readLetters(topicName())).toMatchObject({ exists: false, letters: [] });
  await using topics = await openTopics(3);
  expect(await readLetters(topics.deadLetterTopic)).toMatchObject({ exists: true, letters: [] });
  const missing = await run({ topic: 'a', deadLetterTopic: topicName() }, 'redrive');
  expect(missing).toMatchObject({ status: 0, output: '' });
  expect(missing.errors).toContain('There is no topic');
});

test('letters of every partition, size and producer are read, up to the end at the start', async () => {
  await using topics = await openTopics(3);
  const large = Buffer.from(crypto.getRandomValues(new Uint8Array(900_000)))
    .toString('hex')
    .slice(0, 1_000_000);
  const small = Array.from({ length: 1_000 }, (_, n) => `letter ${n}`);
  for (const partition of [0, 1, 2])
    await topics.bury([`first of ${partition}`, large], { key: Buffer.from(String(partition)) });
  await topics.bury(small);
  const foreign = topics.kafka.producer({ maxInFlightRequests: 1 });
  await foreign.connect();
  const messages = [{ value: 'foreign' }, { value: 'not json', headers: { '__redrive.marks': '1' } }];
  await foreign.send({ topic: topics.deadLetterTopic, messages });
  await foreign.disconnect();
  const { values, letters } = await readLetters(topics.deadLetterTopic);
  expect(values.filter((value) => value === large)).toHaveLength(3);
  expect(new Set(values)).toEqual(
    new Set([large, ...small, ...[0, 1, 2].map((n) => `first of ${n}`), 'foreign', 'not json']),
  );
  expect(letters).toHaveLength(1_008);
  expect(letters.find(({ value }) => String(value) === 'foreign')).toMatchObject({ stage: undefined });
});

onRealKafka('deleted letters and control records are ignored', async () => {
  await using topics = await openTopics();
  const producer = topics.kafka.producer({
    transactionalId: topicName(),
    maxInFlightRequests: 1,
    idempotent: true,
  });
  await producer.connect();
  const send = async (value: string) => {
    const transaction = await producer.transaction();
    await transaction.send({ topic: topics.deadLetterTopic, messages: [{ value }] });
    await transaction.commit();
  };
  for (const value of ['first', 'second', 'third']) await send(value);
  await producer.disconnect();
  // Without having asked for the topic, kafkajs's client does not know where its partitions are.
  await topics.admin.fetchTopicOffsets(topics.deadLetterTopic);
  await topics.admin.deleteTopicRecords({
    topic: topics.deadLetterTopic,
    partitions: [{ partition: 0, offset: '1' }],
  });
  expect((await readLetters(topics.deadLetterTopic)).values).toEqual(['second', 'third']);
});

test('the command ends with one line when Kafka is unavailable or an argument is wrong, and quietly when its pipe is closed', async () => {
  await using topics = await openTopics();
  await topics.bury(Array.from({ length: 500 }, () => 'x'.repeat(1_000)));
  const environment = {
    KAFKA_BROKERS: String(await brokers()),
    KAFKA_TOPIC: topics.topic,
    KAFKA_DLQ_TOPIC: topics.deadLetterTopic,
  };
  const command = `${process.execPath} scripts/dead-letters.ts list --json | head -n 1 | wc -l; echo \${PIPESTATUS[0]}`;
  const [piped, wrong, none] = await Promise.all([
    startProgram(environment, ['exec', `bash -c '${command}'`]).ended(),
    run(topics, 'list', '--limit', 'x'),
    run(topics, 'show', '7/1'),
  ]);
  expect(piped).toMatchObject({ output: '1\n0\n', errors: '' });
  expect(wrong).toMatchObject({
    status: 2,
    output: '',
    errors: expect.stringMatching(/^--limit holds[^\n]+\n$/),
  });
  expect(none).toMatchObject({
    status: 1,
    output: '',
    errors: expect.stringMatching(/^there is no letter[^\n]+\n$/),
  });
  expect(await away.ended()).toMatchObject({
    status: 1,
    output: '',
    errors: expect.stringMatching(/^Kafka at 127\.0\.0\.1:1 does not answer: [^\n]+\n$/),
  });
});
