/** Changes of the topic and of the group's offsets while consumers run. */
import { expect, setDefaultTimeout } from 'bun:test';
import { changeTopicConfig, readTopicConfig } from '../../src/kafka/topic-config.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { testFewAtOnce } from '../support/few-at-once.ts';
import { until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { recordingLog } from '../support/recording-log.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(120_000);
const test = testFewAtOnce();

type Pipeline = Awaited<ReturnType<typeof openPipeline>>;

const ordersOf = (count: number, seed: number) => Array.from({ length: count }, createOrderMaker({ seed }));
const messagesOf = (orders: ReturnType<typeof ordersOf>, partition?: number) =>
  orders.map((order) => ({
    key: order.order_uid,
    value: JSON.stringify(order),
    ...(partition !== undefined && { partition }),
  }));
const countOf = async ({ database }: Pipeline) => {
  const [row] = await database.sql<{ count: number }[]>`select count(*)::int as count from orders`;
  return row?.count;
};

test('partitions that are added are read from their beginning, within 15 s', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const { admin, topic } = pipeline;
  const [one, other] = [pipeline.join(), pipeline.join()];
  await until(() => one.assigned().length === 1 && other.assigned().length === 1, 30_000);
  await pipeline.send(messagesOf(ordersOf(20, 1)));
  await pipeline.drained();
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
  const producer = pipeline.kafka.producer();
  await producer.connect();
  // Sent before any member has the partitions.
  for (const partition of [2, 3, 4])
    await producer.send({
      topic,
      messages: ordersOf(10, partition).map((order) => ({ value: JSON.stringify(order), partition })),
    });
  await producer.disconnect();
  // Within 15 s, and what a busy machine may add; kafkajs alone would take five minutes.
  await until(async () => (await countOf(pipeline)) === 50, 40_000);
  expect([...one.assigned(), ...other.assigned()].sort()).toEqual([0, 1, 2, 3, 4]);
  await pipeline.drained();
});

test('a topic that is deleted and created again is read from its beginning', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const { admin, topic } = pipeline;
  const member = pipeline.join();
  await until(() => member.assigned().length === 2);
  await pipeline.send(messagesOf(ordersOf(60, 1)));
  await pipeline.drained();
  await admin.deleteTopics({ topics: [topic] });
  // Created by this test, or by the consumer.
  await until(
    async () =>
      (await admin.listTopics()).includes(topic) ||
      (await admin
        .createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true })
        .catch(() => false)),
    20_000,
  );
  const later = messagesOf(ordersOf(20, 2));
  await until(() => pipeline.send(later).catch(() => false));
  await until(async () => (await countOf(pipeline)) === 80, 30_000);
});

test('offsets that are reset to the earliest are read again, and change nothing', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const { admin, topic } = pipeline;
  const first = pipeline.join();
  await pipeline.send(messagesOf(ordersOf(100, 1)));
  await pipeline.drained();
  await first.stop();
  await admin.resetOffsets({ groupId: topic, topic, earliest: true });
  const second = pipeline.join();
  await pipeline.drained(30_000);
  await until(() => second.outcomes.reduce((sum, { duplicates }) => sum + duplicates, 0) === 100);
  expect(await countOf(pipeline)).toBe(100);
  expect(await pipeline.letters()).toEqual([]);
});

test('a dead-letter topic that is deleted, or created again by others, has the settings with which letters last', async () => {
  await using pipeline = await openPipeline({ topicCheckIntervalMs: 500 });
  const { admin, deadLetterTopic } = pipeline;
  const retention = async () =>
    (await readTopicConfig(admin, deadLetterTopic).catch(() => undefined))?.values.get('retention.ms');
  pipeline.join();
  await pipeline.send([{ value: 'no JSON' }]);
  await pipeline.drained();
  await changeTopicConfig(admin, deadLetterTopic, new Map([['retention.ms', '86400000']]));
  await until(async () => (await retention()) === '-1');

  await admin.deleteTopics({ topics: [deadLetterTopic] });
  await pipeline.send([{ value: 'no JSON either' }, ...messagesOf(ordersOf(1, 1))]);
  await pipeline.drained();
  expect((await pipeline.letters()).map(({ value }) => String(value))).toEqual(['no JSON either']);
  await until(async () => (await retention()) === '-1');
});

testWith(Boolean(process.env.KAFKA_BROKERS), 'a real Kafka (KAFKA_BROKERS)')(
  'a compacted topic is warned of while the program runs, once',
  async () => {
    const { lines, log } = recordingLog();
    await using pipeline = await openPipeline({ log, topicCheckIntervalMs: 200 });
    const { admin, topic } = pipeline;
    pipeline.join();
    const warnings = () => lines.filter(({ text }) => text.includes('the topic is compacted'));
    await pipeline.send(messagesOf(ordersOf(1, 1)));
    await pipeline.drained();
    expect(warnings()).toEqual([]);
    await changeTopicConfig(admin, topic, new Map([['cleanup.policy', 'compact,delete']]));
    await until(() => warnings().length > 0);
    await Promise.all([pipeline.send(messagesOf(ordersOf(3, 2))), pipeline.drained()]);
    expect(warnings()).toMatchObject([{ level: 'warn', fields: { topic } }]);
  },
);
