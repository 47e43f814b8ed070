/** The overview: samples of the counters, rings of fixed size, and the stream of each second. */
import { expect, test } from 'bun:test';
import { createOverviewEvents } from '../../src/console/overview/events.ts';
import { createHistory } from '../../src/history/history.ts';
import { columns, createRing, type Sample, toSample } from '../../src/history/series.ts';
import { createReadTotals, type Totals } from '../../src/history/totals.ts';
import { createLookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { bounds, createDurations } from '../../src/observability/metrics/durations.ts';
import { quantileOf } from '../../src/observability/metrics/quantile.ts';
import { buildOrder } from '../support/build-order.ts';
import { openConsole } from '../support/open-console.ts';
import { until } from '../support/until.ts';

const order = buildOrder();

/** The counters of a lookup that finds one order, and of consumers that report what the test sets. */
const openCounters = () => {
  const find = async (uid: string) => (uid === order.order_uid ? JSON.stringify(order) : undefined);
  const lookup = createLookup({ memory: createMemoryCache(10), redis: undefined, store: { find } } as never);
  const reported = { orders_stored_total: 0, orders_dead_letters_total: 0, orders_consumer_lag_messages: 0 };
  const metrics = async () =>
    Object.entries(reported).map(([name, value]) => ({ name, values: [{ value, labels: {} }] })) as never;
  return {
    lookup,
    reported,
    readTotals: createReadTotals({ lookup, consumers: [{ metrics }, { metrics }] }),
  };
};

test('a sample has what happened between two readings of the counters', async () => {
  const { lookup, reported, readTotals } = openCounters();
  const before = { ...(await readTotals()), time: 1_000 };
  for (let n = 0; n < 10; n++) await lookup.find(order.order_uid);
  Object.assign(reported, {
    orders_stored_total: 30,
    orders_dead_letters_total: 1,
    orders_consumer_lag_messages: 7,
  });
  const sample = toSample(before, { ...(await readTotals()), time: 3_000 });
  // Two consumers, two seconds.
  expect(sample).toMatchObject({
    stored: 30,
    deadLetters: 1,
    lag: 14,
    fromMemory: 4.5,
    fromPostgres: 0.5,
    fromRedis: 0,
  });
  expect(sample.hits).toBe(0.9);
  expect(sample.memoryMedian).toBeLessThan(sample.postgresP99 as number);
  expect([sample.redisMedian, sample.redisP99]).toEqual([null, null]);
  expect(sample.memory).toBeGreaterThan(1e6);
});

test('a counter that started again, and consumers that do not answer, give no value', async () => {
  const { readTotals } = openCounters();
  const before: Totals = { ...(await readTotals()), stored: 100, time: 0 };
  expect(toSample(before, { ...before, stored: 5, time: 1_000 }).stored).toBeNull();
  const silent = toSample(before, { ...before, stored: undefined, lag: undefined, time: 1_000 });
  expect([silent.stored, silent.lag, silent.hits]).toEqual([null, null, null]);
});

test.each([0.000_005, 0.000_03, 0.000_3, 0.002, 0.08, 0.7])(
  'the median of durations of %d s lies in their bucket',
  (seconds) => {
    const durations = createDurations();
    for (let n = 0; n < 100; n++) durations.observe(seconds);
    const at = bounds.findIndex((bound) => seconds <= bound);
    const median = quantileOf(durations.counts(), 0.5) as number;
    expect(median).toBeLessThanOrEqual(bounds[at] as number);
    expect(median).toBeGreaterThan(bounds[at - 1] ?? 0);
  },
);

test('a quantile beyond the last bound is that bound, and of nothing there is none', () => {
  const durations = createDurations();
  expect(quantileOf(durations.counts(), 0.5)).toBeUndefined();
  for (let n = 0; n < 98; n++) durations.observe(0.000_001);
  for (let n = 0; n < 2; n++) durations.observe(100);
  expect(quantileOf(durations.counts(), 0.5)).toBeLessThan(0.000_01);
  expect(quantileOf(durations.counts(), 0.99)).toBe(bounds.at(-1));
});

const sampleAt = (time: number): Sample =>
  ({ time, ...Object.fromEntries(columns.map((name) => [name, name === 'hits' ? null : time])) }) as Sample;

test('a ring keeps the last samples, oldest first, and no more', () => {
  const ring = createRing(3);
  expect(ring.read().time).toEqual([]);
  for (const time of [1, 2, 3, 4, 5]) ring.push(sampleAt(time));
  expect(ring.read()).toMatchObject({ time: [3, 4, 5], stored: [3, 4, 5], hits: [null, null, null] });
});

test('the history samples by itself, for both windows', async () => {
  const { readTotals } = openCounters();
  let time = 0;
  const history = createHistory({
    intervalMs: 1,
    async readTotals() {
      time += 1_000;
      return { ...(await readTotals()), time };
    },
  });
  await until(() => history.series('24h').time.length >= 2);
  history.close();
  const [first = 0, second = 0] = history.series('24h').time;
  expect(second - first).toBe(60_000);
  expect(history.series('15m').time.length).toBeGreaterThan(100);
});

test('each second is an event; a stream ends with the process, and when its client leaves', async () => {
  const listeners = new Set<(sample: Sample) => void>();
  const subscribe = (listener: (sample: Sample) => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const closing = new AbortController();
  const { get } = openConsole({
    history: { series: () => createRing(1).read(), subscribe } as never,
    closing: closing.signal,
  });
  const response = await get('/console/api/overview/events');
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  for (const listener of listeners) listener(sampleAt(5));
  const left = await get('/console/api/overview/events');
  await left.body?.cancel();
  expect(listeners.size).toBe(1);
  closing.abort();
  expect(await response.text()).toContain('data: {"time":5,');
  expect(listeners.size).toBe(0);
});

test('there are at most 50 streams', () => {
  const events = createOverviewEvents({ subscribe: () => () => {} });
  const streams = Array.from({ length: 51 }, () => events.open());
  expect(streams.map((stream) => stream !== undefined)).toEqual([...Array(50).fill(true), false]);
  events.close();
  expect(events.open()).toBeDefined();
  events.close();
});

test('the API has the series of a window, and says which windows there are', async () => {
  const ring = createRing(2);
  ring.push(sampleAt(1_795_660_800_000));
  const { get } = openConsole({ history: { series: () => ring.read(), subscribe: () => () => {} } });
  const body = await (await get('/console/api/overview?window=24h')).json();
  expect(body).toMatchObject({ host: 'replica-1', window: '24h', series: { time: [1_795_660_800_000] } });
  expect(Object.keys(body.series)).toEqual(['time', ...columns]);
  const wrong = await get('/console/api/overview?window=1h');
  expect([wrong.status, (await wrong.json()).detail]).toEqual([
    400,
    'window is not allowed; allowed: 15m, 24h.',
  ]);
});
