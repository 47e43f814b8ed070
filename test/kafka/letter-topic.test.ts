/** A dead-letter topic that others have created, whose settings may break the promise that letters last. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { ConfigResourceTypes, type Kafka } from 'kafkajs';
import { testBroker } from '../../packages/kafka-broker/test/support/broker.ts';
import { createDeadLetters } from '../../src/ingest/dead-letter.ts';
import { createTopics, ensureTopics } from '../../src/kafka/topics.ts';
import { warnOnce } from '../../src/observability/warn-once.ts';
import { silent, topicName } from '../support/kafka-and-postgres.ts';
import { kafkaClient, readTopic } from '../support/pipeline.ts';
import { recordingLog } from '../support/recording-log.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(60_000);

const onRealKafka = testWith(Boolean(process.env.KAFKA_BROKERS), 'a real Kafka (KAFKA_BROKERS)');

/** A dead-letter topic with these settings, created by somebody else. */
const openTopic = async (kafka: Kafka, settings: Record<string, string>) => {
  const topic = topicName();
  const topics = { topic, deadLetterTopic: `${topic}_dlq`, partitions: 1 };
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    topics: [
      {
        topic: topics.deadLetterTopic,
        numPartitions: 1,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      },
    ],
    waitForLeaders: true,
  });
  return {
    ...topics,
    admin,
    async config() {
      const { resources } = await admin.describeConfigs({
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topics.deadLetterTopic }],
        includeSynonyms: false,
      });
      return Object.fromEntries(
        (resources[0]?.configEntries ?? []).map(({ configName, configValue }) => [configName, configValue]),
      );
    },
    async configure(settings: Record<string, string>) {
      const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topics.deadLetterTopic, configEntries }],
      });
    },
    [Symbol.asyncDispose]: () => admin.disconnect(),
  };
};

test('settings with which letters would vanish are changed at the start, once, and others stay', async () => {
  const kafka = await kafkaClient();
  await using topic = await openTopic(kafka, {
    'retention.ms': '86400000',
    'retention.bytes': '1000000',
    'max.message.bytes': '2000',
    'segment.bytes': '1048576',
  });
  const { lines, log } = recordingLog();
  const { letterTopic } = await ensureTopics(kafka, topic, log);
  expect(letterTopic).toEqual({ keepsTimestamps: true, isCompacted: false });
  expect(await topic.config()).toMatchObject({
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'max.message.bytes': String(1_048_588 + 65_536),
    'segment.bytes': '1048576',
  });
  const changes = () => lines.filter(({ text }) => text.includes('settings'));
  expect(changes()).toMatchObject([
    { level: 'info', fields: { from: { 'retention.ms': '86400000' }, to: { 'retention.ms': '-1' } } },
  ]);
  await ensureTopics(kafka, topic, log);
  expect(changes()).toHaveLength(1);
});

test('DLQ_RETENTION_DAYS sets the retention of letters, which have the time of their failure then', async () => {
  const kafka = await kafkaClient();
  await using topic = await openTopic(kafka, {});
  const { letterTopic } = await ensureTopics(kafka, { ...topic, letterRetentionDays: 30 }, silent);
  expect(letterTopic.keepsTimestamps).toBe(false);
  expect((await topic.config())['retention.ms']).toBe('2592000000');

  const fresh = { ...topic, topic: topic.topic, deadLetterTopic: `${topic.deadLetterTopic}_2` };
  await createTopics(kafka, { ...fresh, letterRetentionDays: 2 }, silent);
  const { resources } = await topic.admin.describeConfigs({
    resources: [
      { type: ConfigResourceTypes.TOPIC, name: fresh.deadLetterTopic, configNames: ['retention.ms'] },
    ],
    includeSynonyms: false,
  });
  expect(resources[0]?.configEntries[0]?.configValue).toBe('172800000');
});

test('what may not be changed is a warning with the command, and letters get the time of their failure', async () => {
  await using broker = await testBroker();
  const kafka = await kafkaClient([broker.brokers]);
  await using topic = await openTopic(kafka, { 'retention.ms': '86400000', 'retention.bytes': '1000000' });
  broker.faults.error('AlterConfigs', 'TOPIC_AUTHORIZATION_FAILED', 50);
  const { lines, log } = recordingLog();
  const { letterTopic } = await ensureTopics(kafka, topic, log);
  expect(letterTopic).toEqual({ keepsTimestamps: false, isCompacted: false });
  const warnings = lines.filter(({ level }) => level === 'warn');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]?.fields.command).toBe(
    `kafka-configs.sh --bootstrap-server ${broker.brokers} --alter --entity-type topics --entity-name ${topic.deadLetterTopic} --add-config max.message.bytes=1114124,retention.bytes=-1,retention.ms=-1`,
  );
  broker.faults.clear();
  // The settings that are allowed are changed.
  let refusals = 0;
  broker.faults.intercept(({ api, topic }) =>
    api === 'AlterConfigs' && topic === undefined && refusals++ < 2
      ? { error: 'POLICY_VIOLATION' }
      : undefined,
  );
  const next = recordingLog();
  await ensureTopics(kafka, topic, next.log);
  const [warning] = next.lines.filter(({ level }) => level === 'warn');
  expect(Object.keys((warning?.fields.settings ?? {}) as object)).toEqual(['max.message.bytes']);
  expect(await topic.config()).toMatchObject({ 'retention.ms': '-1', 'retention.bytes': '-1' });
});

test('settings that may not be described are a warning for each topic, once, and no failure', async () => {
  await using broker = await testBroker();
  const kafka = await kafkaClient([broker.brokers]);
  await using topic = await openTopic(kafka, {});
  broker.faults.error('DescribeConfigs', 'TOPIC_AUTHORIZATION_FAILED', 50);
  const { lines, log } = recordingLog();
  const once = warnOnce(log);
  for (let n = 0; n < 2; n++) {
    const { letterTopic, messageBytes } = await ensureTopics(kafka, topic, once);
    expect(letterTopic).toEqual({ keepsTimestamps: true, isCompacted: false });
    expect(messageBytes).toBe(1_048_588);
  }
  const warned = lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields.topic);
  expect(warned).toEqual([topic.topic, topic.deadLetterTopic]);
});

const letterOf = (offset: string, key: string | null, value: string | null, headers = {}) => ({
  message: {
    topic: 'orders',
    partition: 0,
    offset,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp: '1700000000000',
    headers,
  },
  stage: 'parse' as const,
  error: 'ParseError',
  reason: 'the message is not JSON',
});

test('a letter in a topic that expires has the time of its failure, and the original one in a header', async () => {
  const kafka = await kafkaClient();
  await using topic = await openTopic(kafka, {});
  const { letterTopic } = await ensureTopics(kafka, { ...topic, letterRetentionDays: 1 }, silent);
  const letters = createDeadLetters({
    kafka,
    topic: topic.deadLetterTopic,
    letterTopic: () => letterTopic,
    checkTopic: async () => {},
  });
  await letters.connect();
  const forged = { '__connect.errors.original.key': Buffer.from('forged') };
  await letters.send([letterOf('0', 'key', 'value', forged)]);
  await letters.disconnect();
  const [letter] = await readTopic(topic.deadLetterTopic);
  expect(Date.now() - Number(letter?.timestamp)).toBeLessThan(60_000);
  expect(String(letter?.headers['__connect.errors.original.timestamp'])).toBe('1700000000000');
  expect(letter?.headers).not.toHaveProperty(['__connect.errors.original.key']);
});

onRealKafka(
  'a compacted topic is changed; if it is compacted later, letters without a key do not stop',
  async () => {
    const kafka = await kafkaClient();
    await using topic = await openTopic(kafka, { 'cleanup.policy': 'compact' });
    let { letterTopic } = await ensureTopics(kafka, topic, silent);
    expect(letterTopic.isCompacted).toBe(false);
    expect((await topic.config())['cleanup.policy']).toBe('delete');

    await topic.configure({ 'cleanup.policy': 'compact', 'retention.ms': '-1' });
    let checks = 0;
    const letters = createDeadLetters({
      kafka,
      topic: topic.deadLetterTopic,
      letterTopic: () => letterTopic,
      async checkTopic() {
        // As if the settings could not be changed.
        checks += 1;
        letterTopic = { keepsTimestamps: true, isCompacted: true };
      },
    });
    await letters.connect();
    await letters.send([letterOf('0', null, 'value'), letterOf('1', 'key', null), letterOf('2', 'key', 'x')]);
    await letters.disconnect();
    expect(checks).toBe(1);
    const found = await readTopic(topic.deadLetterTopic);
    expect(new Set(found.map(({ key }) => String(key))).size).toBe(3);
    expect(found.map(({ value }) => String(value))).toEqual(['value', '', 'x']);
  },
);
