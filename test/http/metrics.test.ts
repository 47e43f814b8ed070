import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test';
import { join } from 'node:path';
import { createKafka } from '../../src/kafka/client.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { readAlerts } from '../support/alerts.ts';
import { brokers, silent, testDatabase, topicName, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';
import { namesIn } from '../support/promql.ts';
import { promtool, testPromtool } from '../support/promtool.ts';
import { hasRedisServer, startRedisServer } from '../support/redis-server.ts';
import { readSamples } from '../support/samples.ts';
import { testWith } from '../support/test-with.ts';

// A process starts, and its group forms in seconds.
setDefaultTimeout(60_000);

const root = join(import.meta.dir, '../..');
const token = 's3cret-T0ken-of-16';
const open = new AsyncDisposableStack();
afterAll(() => open.disposeAsync());

/** The metrics of a program with two consumers and Redis, after messages and lookups of every kind. */
let url = '';
let metricsUrl = '';
let output = '';
const authorized = { headers: { authorization: `Bearer ${token}` } };

const run = async () => {
  const database = open.use(await testDatabase({ migrated: false }));
  const redis = open.use(await startRedisServer());
  const topic = topicName();
  const program = open.use(
    startProgram({
      KAFKA_BROKERS: (await brokers()).join(','),
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: `${topic}_dlq`,
      KAFKA_GROUP_ID: `${topic}_group`,
      KAFKA_PARTITIONS: '2',
      DATABASE_URL: database.url,
      DATABASE_READ_URL: database.url,
      REDIS_URL: redis.url,
      CONSUMERS: '2',
      LIVE_FEED: 'true',
      METRICS_PORT: '0',
      METRICS_TOKEN: token,
      ORDER_RETENTION_DAYS: '30',
    }),
  );
  url = await program.url();
  const { url: at } = await program.said('metrics are served', 30_000);
  metricsUrl = `${String(at).replace('localhost', '127.0.0.1')}/metrics`;
  const read = async () => (await fetch(metricsUrl, authorized)).text();
  // Both consumers have a partition each, and the cache is warm.
  await until(async () => (await read()).match(/^orders_consumer_partitions{.*} 1$/gm)?.length === 2, 40_000);
  await program.said('the cache is warm');

  const producer = createKafka(
    { brokers: await brokers(), ssl: false, sasl: undefined },
    'test',
    silent,
  ).producer();
  await producer.connect();
  const orders = Array.from({ length: 20 }, createOrderMaker({ seed: 1 }));
  const [first] = orders as [(typeof orders)[number]];
  const valid = [...orders, first].map((order) => JSON.stringify(order));
  const bad = [JSON.stringify({ ...first, entry: 'OTHER' }), JSON.stringify({ order_uid: 'no' }), 'no JSON'];
  await producer.send({ topic, messages: [...valid, ...bad].map((value) => ({ value, partition: 0 })) });
  await producer.disconnect();
  await until(async () => (await database.sql`select from orders`).length === orders.length);

  for (const uid of [first.order_uid, first.order_uid, 'unknown-order-1', 'short'])
    await fetch(`${url}/order/${uid}`);
  await until(async () => {
    output = await read();
    return (
      total('orders_cache_entries', { tier: 'redis' }) === 1 &&
      total('orders_dead_letters_total', { stage: 'parse' }) === 1 &&
      total('orders_dead_letters_total', { stage: 'store' }) === 1 &&
      total('orders_consumer_lag_messages', {}) === 0 &&
      // On a loaded machine a request to Kafka may have timed out just before.
      total('orders_ready', {}) === 1 &&
      total('orders_service_up', { service: 'kafka' }) === 1
    );
  });
};

const samples = () => readSamples(output);

const samplesOf = (name: string, labels: Record<string, string> = {}) =>
  samples().filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );

/** The sum over all threads. */
const total = (name: string, labels: Record<string, string>) =>
  samplesOf(name, labels).reduce((sum, { value }) => sum + value, 0);

const testRun = testWith(hasRedisServer, 'redis-server');
if (hasRedisServer) beforeAll(run);

testRun('what happened is what is counted, over all threads', () => {
  expect(total('orders_stored_total', {})).toBe(20);
  expect(total('orders_duplicates_total', {})).toBe(1);
  for (const stage of ['parse', 'validate', 'store'])
    expect([stage, total('orders_dead_letters_total', { stage })]).toEqual([stage, 1]);
  expect(total('orders_batch_messages_sum', {})).toBe(24);
  for (const service of ['postgres', 'redis', 'kafka'])
    expect([service, total('orders_service_up', { service })]).toEqual([service, 1]);
  expect(total('orders_ready', {})).toBe(1);
  expect(total('orders_lookups_total', { tier: 'postgres' })).toBe(1);
  expect(total('orders_cache_hits_total', { tier: 'memory' })).toBe(1);
  expect(total('orders_cache_misses_total', { tier: 'memory' })).toBe(2);
  expect(total('orders_cache_misses_total', { tier: 'redis' })).toBe(2);
  expect(total('orders_consumer_joins_total', {})).toBeGreaterThanOrEqual(2);
  const age =
    Date.now() / 1000 -
    Math.max(...samplesOf('orders_consumer_progress_timestamp_seconds').map(({ value }) => value));
  expect(age).toBeWithin(0, 60);
});

testRun('what is the process’s is shown once, and what is a thread’s once for each', () => {
  for (const { name } of samples().filter((sample) => sample.name.startsWith('process_')))
    expect([name, samplesOf(name).length]).toEqual([name, 1]);
  const threads = ['main', 'consumer-1', 'consumer-2'];
  for (const name of [
    'event_loop_lag_seconds_count',
    'javascript_heap_used_bytes',
    'orders_postgres_pool_connections_max',
  ])
    expect(samplesOf(name).map(({ labels }) => labels.thread)).toEqual(threads);
  expect(samplesOf('orders_stored_total').map(({ labels }) => labels.thread)).toEqual(threads.slice(1));
  const series = samples().map(({ name, labels }) => name + JSON.stringify(Object.entries(labels).sort()));
  expect(new Set(series).size).toBe(series.length);
});

testRun('numbers of the process are plausible', () => {
  expect(total('process_start_time_seconds', {})).toBeWithin(Date.now() / 1000 - 120, Date.now() / 1000);
  expect(total('process_cpu_seconds_total', {})).toBeWithin(0.2, 60);
  expect(total('process_resident_memory_bytes', {})).toBeWithin(5e7, 1e9);
  for (const { value } of samplesOf('javascript_heap_used_bytes')) expect(value).toBeWithin(1e6, 3e8);
});

testRun('with a port of their own, metrics are there and nowhere else, and want the token', async () => {
  expect((await fetch(`${url}/metrics`, authorized)).status).toBe(404);
  expect((await fetch(metricsUrl)).status).toBe(401);
  expect((await fetch(metricsUrl.replace('/metrics', '/healthz'), authorized)).status).toBe(404);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

testRun('docs/metrics.md lists every metric as it is', async () => {
  const rows = [...output.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)/gm)].map(
    ([, name = '', help, type]) => {
      const own = samples().filter((sample) => [name, `${name}_count`].includes(sample.name));
      const labels = new Set(own.flatMap((sample) => Object.keys(sample.labels)));
      return `| \`${name}\` | ${type} | ${[...labels].map((label) => `\`${label}\``).join(', ')} | ${help} |`;
    },
  );
  const text = await Bun.file(`${root}/docs/metrics.md`).text();
  expect([...text.matchAll(/^\| `.*$/gm)].map(([row]) => row)).toEqual(rows);
});

type Panel = { title: string; targets?: { expr: string; legendFormat: string }[] };

const panels = async () =>
  ((await Bun.file(`${root}/ops/grafana-dashboard.json`).json()) as { panels: Panel[] }).panels;

/** Labels that Prometheus adds. */
const added = ['job', 'instance'];

/** Metrics and labels of an expression that the program's output does not have. */
const unknownIn = (expression: string) => {
  const { selectors, labels } = namesIn(expression);
  const ours = selectors.filter(({ metric }) => metric !== 'up');
  const unknown = ours.flatMap(({ metric, matchers }) => {
    if (samplesOf(metric).length === 0) return [metric];
    return matchers
      .filter(({ label }) => !added.includes(label))
      .filter(({ label, operator, value }) =>
        operator === '='
          ? samplesOf(metric, { [label]: value }).length === 0
          : !samplesOf(metric).some((sample) => label in sample.labels),
      )
      .map(({ label, value }) => `${metric}{${label}="${value}"}`);
  });
  const there = new Set(
    ours.flatMap(({ metric }) => samplesOf(metric)).flatMap((sample) => Object.keys(sample.labels)),
  );
  return [...unknown, ...labels.filter((label) => !added.includes(label) && !there.has(label))];
};

testRun('a name that there is not is found', () => {
  expect(unknownIn('sum by (thread, colour) (rate(orders_stored_total[5m])) > orders_nonsense')).toEqual([
    'orders_nonsense',
    'colour',
  ]);
  expect(unknownIn('orders_service_up{service="oracle",job="x"} * orders_ready{size=~"a|b"}')).toEqual([
    'orders_service_up{service="oracle"}',
    'orders_ready{size="a|b"}',
  ]);
  expect(
    unknownIn('histogram_quantile(0.9, sum by (le) (rate(orders_batch_messages_bucket{thread="main"}[5m])))'),
  ).toEqual(['orders_batch_messages_bucket{thread="main"}']);
});

testRun('the alerts name metrics and labels that there are', async () => {
  const all = await readAlerts();
  expect(all.length).toBeGreaterThan(10);
  for (const { alert, expr } of all) expect([alert, unknownIn(expr)]).toEqual([alert, []]);
});

testRun('the dashboard names metrics and labels that there are', async () => {
  const all = (await panels()).flatMap(({ title, targets = [] }) =>
    targets.map((target) => ({ title, ...target })),
  );
  expect(all.length).toBeGreaterThan(20);
  for (const { title, expr, legendFormat } of all) {
    expect([title, unknownIn(expr)]).toEqual([title, []]);
    const { selectors, labels } = namesIn(expr);
    const shown = [...legendFormat.matchAll(/{{(\w+)}}/g)].map(([, label]) => label as string);
    const isGrouped = labels.length > 0;
    const unknown = shown.filter(
      (label) =>
        !(isGrouped ? labels : added).includes(label) &&
        !selectors.some(
          ({ metric }) => !isGrouped && samplesOf(metric).some((sample) => label in sample.labels),
        ),
    );
    expect([title, unknown]).toEqual([title, []]);
  }
});

testRun('what is measured is on the dashboard or in an alert, but for a few', async () => {
  const shown = [...(await panels()).flatMap(({ targets = [] }) => targets), ...(await readAlerts())].map(
    ({ expr }) => expr,
  );
  const names = [...output.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name as string);
  const unseen = names.filter((name) => !shown.some((expr) => expr.includes(name)));
  expect(unseen).toEqual(['orders_consumer_up', 'orders_warm_up_running', 'orders_warm_up_entries']);
});

if (hasRedisServer)
  testPromtool('promtool finds no fault with the metrics’ names and form', async () => {
    expect(await promtool(['check', 'metrics'], output)).toBe('');
  });
