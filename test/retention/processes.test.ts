import { expect, setDefaultTimeout, test } from 'bun:test';
import { documentsKey, queueKey } from '../../src/lookup/redis-script.ts';
import type { Order } from '../../src/order/order.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { uniqueName } from '../support/database.ts';
import { brokers, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { startProgram } from '../support/program.ts';
import { startReaders } from '../support/readers.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { runScript } from '../support/run-script.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(120_000);

const dayMs = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * dayMs).toISOString();
const ordersOf = (ages: readonly number[], seed = 1): Order[] => {
  const make = createOrderMaker({ seed });
  return ages.map((age) => ({ ...make(), date_created: daysAgo(age) }));
};
const messagesOf = (orders: readonly Order[]) =>
  orders.map((order) => ({ key: order.order_uid, value: JSON.stringify(order) }));

test('a message with an expired order is a dead letter, also in a replay and a redrive, and its neighbours are stored', async () => {
  const rules = { ...defaultRules, retentionDays: 30 };
  await using pipeline = await openPipeline({ settings: { rules } });
  const orders = ordersOf([31, 1, 400, 29]);
  const member = pipeline.join();
  await pipeline.send(messagesOf(orders));
  await pipeline.drained();
  const isStored = async () => (await pipeline.store.newest(9)).sort();
  const kept = [orders[1], orders[3]].map((order) => order?.order_uid as string).sort();
  expect(await isStored()).toEqual(kept);
  const reason = 'date_created is older than ORDER_RETENTION_DAYS, 30 days';
  const letters = await pipeline.letters();
  expect(
    letters.map(({ key, headers }) => [String(key), String(headers['__connect.errors.exception.message'])]),
  ).toEqual([
    [orders[0]?.order_uid as string, reason],
    [orders[2]?.order_uid as string, reason],
  ]);

  await pipeline.offsets.rewind(pipeline.group, [{ partition: 0, offset: 0n }]);
  await until(() => member.outcomes.reduce((sum, { lettersBefore }) => sum + lettersBefore, 0) === 2);
  expect(await isStored()).toEqual(kept);

  const environment = {
    KAFKA_BROKERS: (await brokers()).join(','),
    KAFKA_TOPIC: pipeline.topic,
    KAFKA_DLQ_TOPIC: pipeline.deadLetterTopic,
    ORDER_RETENTION_DAYS: '30',
  };
  const redriven = await runScript('scripts/dead-letters.ts', ['redrive'], environment);
  expect(redriven.code).toBe(1);
  expect(redriven.output).toContain(`skipped: it is not a valid order: ${reason}`);
  const longer = await runScript('scripts/dead-letters.ts', ['redrive'], {
    ...environment,
    ORDER_RETENTION_DAYS: '300',
  });
  expect(longer.output).toContain(
    'skipped: it is not a valid order: date_created is older than ORDER_RETENTION_DAYS, 300 days',
  );
  expect(longer.errors).toContain('1 sent');
  // The consumer still has the shorter limit.
  await until(async () => {
    const reasons = (await pipeline.letters()).map(
      ({ headers }) => headers['__connect.errors.exception.message'],
    );
    return reasons.filter((found) => String(found) === reason).length === 3;
  });
  expect(await isStored()).toEqual(kept);
});

testWith(hasRedisServer, 'redis-server')(
  'expired orders leave PostgreSQL, the memory of all processes, Redis and answers, and cannot be brought back by a lookup',
  async () => {
    await using database = await testDatabase();
    await using redis = await startRedisServer();
    const orders = ordersOf([100, 99, 5, 1]);
    const [expired, kept] = [orders.slice(0, 2), orders.slice(2)].map((some) =>
      some.map((order) => order.order_uid),
    ) as [string[], string[]];
    await createStore(database.sql).save(orders);
    const environment = {
      KAFKA_BROKERS: (await brokers()).join(','),
      KAFKA_TOPIC: uniqueName('orders'),
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      SERVE: 'http',
    };
    await using readers = await startReaders(2, environment);
    const { urls } = readers;
    const statuses = async (uids: string[]) =>
      Promise.all(
        urls.flatMap((url) => uids.map(async (uid) => (await fetch(`${url}/order/${uid}`)).status)),
      );
    expect(new Set(await statuses([...expired, ...kept]))).toEqual(new Set([200]));
    await until(async () => (await redis.admin.hlen(documentsKey)) === 4);

    await using deleter = startProgram({ ...environment, SERVE: 'http', ORDER_RETENTION_DAYS: '30' });
    const counted = await deleter.said('expired orders are deleted', 60_000);
    expect(counted).toMatchObject({ orders: 2, days: 30 });
    const deletedAt = performance.now();
    // Asked for all the time.
    await until(async () => (await statuses(expired)).every((status) => status === 404));
    await until(async () => (await redis.admin.hlen(documentsKey)) === 2);
    // 1 s, and what a busy machine may add.
    expect(performance.now() - deletedAt).toBeLessThan(5_000);
    console.log(`forgotten after ${Math.round(performance.now() - deletedAt)} ms`);
    expect(await redis.admin.lrange(queueKey, 0, -1)).toEqual(expect.arrayContaining(kept));
    expect(new Set(await statuses(kept))).toEqual(new Set([200]));
    expect((await createStore(database.sql).newest(9)).sort()).toEqual(kept.toSorted());
    expect(await database.sql`select from erased_orders`).toHaveLength(0);

    const metrics = await (await fetch(`${await deleter.url()}/metrics`)).text();
    expect(metrics).toMatch(/^orders_expired_total 2$/m);
    expect(Number(/^orders_oldest_age_seconds (.+)$/m.exec(metrics)?.[1])).toBeCloseTo(
      (5 * dayMs) / 1000,
      -3,
    );
    expect(Number(/^orders_retention_behind_seconds (.+)$/m.exec(metrics)?.[1])).toBeLessThan(60);
    expect(deleter.complaints().map(({ msg }) => msg)).toContain(
      'dead letters, which hold personal data, are kept for longer than orders: set DLQ_RETENTION_DAYS',
    );
    expect((await deleter.stop('SIGTERM')).status).toBe(0);
    // A process that keeps orders for ever needs no index for it.
    const names = () => database.sql`select from pg_indexes where indexname = 'orders_date_created'`;
    expect(await names()).toHaveLength(1);
    await using keeper = startProgram(environment);
    await keeper.said('an index was dropped', 60_000);
    expect(await names()).toHaveLength(0);
  },
);

test.each(['0', '-1', '1.5', '36501', 'a year'])(
  'ORDER_RETENTION_DAYS=%s stops the start with one line',
  async (days) => {
    const { code, output, errors } = await runScript('src/main.ts', [], { ORDER_RETENTION_DAYS: days });
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(errors).toBe(
      `ORDER_RETENTION_DAYS holds ${JSON.stringify(days)}; allowed: an integer from 1 to 36500\n`,
    );
  },
);
