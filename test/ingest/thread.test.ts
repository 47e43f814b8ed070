import { expect, setDefaultTimeout, test } from 'bun:test';
import { startConsumerThread } from '../../src/ingest/thread.ts';
import type { ConsumerSettings } from '../../src/ingest/thread-protocol.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { openWorld, ordersOf } from '../support/isolated-services.ts';
import { brokers, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

setDefaultTimeout(90_000);

type World = Awaited<ReturnType<typeof openWorld>>;

const settingsOf = async (environment: World['environment']): Promise<ConsumerSettings> => ({
  name: 'consumer-1',
  kafka: { brokers: await brokers(), ssl: false, sasl: undefined },
  topic: environment.KAFKA_TOPIC,
  deadLetterTopic: environment.KAFKA_DLQ_TOPIC,
  groupId: environment.KAFKA_GROUP_ID,
  rules: defaultRules,
  partitions: 1,
  databaseUrl: environment.DATABASE_URL,
  databasePool: 2,
  logLevel: 'silent',
});

test('a consumer whose thread ends is reported, and restarted', async () => {
  await using world = await openWorld();
  await using database = await testDatabase();
  const { log, texts } = recordingLog();
  const settings = await settingsOf(world.environment);
  // Nothing that a client can be made for: the thread ends at once.
  settings.databaseUrl = 'no url';
  const stored: string[] = [];
  const consumer = startConsumerThread({ settings, log, stored: ({ uids }) => void stored.push(...uids) });
  try {
    await until(() => texts().filter((text) => text.includes('started again')).length >= 2);
    expect(consumer.state().kafka).toMatch(/started again|not reached/);
    expect(await consumer.metrics()).toEqual([]);
    settings.databaseUrl = database.url;
    await until(() => consumer.state().kafka === undefined, 60_000);
    const orders = ordersOf(3);
    await world.send(orders);
    await until(() => stored.length === 3);
    expect((await consumer.metrics()).find(({ name }) => name === 'orders_stored_total')).toMatchObject({
      values: [{ value: 3 }],
    });
  } finally {
    await consumer.stop();
  }
});

test('a consumer whose thread hangs is reported, ended and restarted', async () => {
  await using world = await openWorld();
  const { log, texts } = recordingLog();
  const consumer = startConsumerThread({
    settings: await settingsOf(world.environment),
    log,
    stored() {},
    script: new URL('../support/hanging-worker.ts', import.meta.url),
    intervalMs: 10,
  });
  const count = (part: string) => texts().filter((text) => text.includes(part)).length;
  try {
    await until(() => count('does not answer') >= 2);
    expect(count('has ended; it is started again')).toBeGreaterThan(0);
    expect(consumer.restarts()).toBeGreaterThan(0);
  } finally {
    await consumer.stop();
  }
});
