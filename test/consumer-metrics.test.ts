import { expect, test } from 'bun:test';
import { Registry } from 'prom-client';
import { createConsumerMetrics } from '../src/consumer/metrics.ts';
import { buildOrder } from './build-order.ts';

const open = () => {
  const registry = new Registry();
  let paused = 0;
  const metrics = createConsumerMetrics(registry, () => paused);
  return {
    ...metrics,
    pause: (partitions: number) => {
      paused = partitions;
    },
    /** The samples that begin so, as Prometheus reads them. */
    read: async (name: string) =>
      (await registry.metrics()).split('\n').filter((line) => line.startsWith(name)),
  };
};

const message = {
  key: null,
  value: null,
  headers: {},
  timestamp: '0',
  offset: '0',
  topic: 'orders',
  partition: 0,
};

test('a chunk counts what was stored, what was there already, and dead letters by stage', async () => {
  const { chunk, read } = open();
  const letter = (stage: 'parse' | 'store') => ({ message, stage, error: 'E', reason: 'r' });
  const outcome = {
    stored: [buildOrder()],
    duplicates: 2,
    letters: [letter('parse'), letter('parse'), letter('store')],
  };
  chunk(Array(6).fill({ ...message, timestamp: String(Date.now() - 700) }), outcome, 0.03);
  expect(await read('orders_stored_total')).toEqual(['orders_stored_total 1']);
  expect(await read('orders_duplicates_total')).toEqual(['orders_duplicates_total 2']);
  expect(await read('orders_dead_letters_total')).toEqual([
    'orders_dead_letters_total{stage="parse"} 2',
    'orders_dead_letters_total{stage="validate"} 0',
    'orders_dead_letters_total{stage="store"} 1',
  ]);
  expect(await read('orders_chunk_messages_sum')).toEqual(['orders_chunk_messages_sum 6']);
  expect(await read('orders_chunk_duration_seconds_bucket{le="0.05"}')).toEqual([
    'orders_chunk_duration_seconds_bucket{le="0.05"} 1',
  ]);
  expect(await read('orders_ingest_delay_seconds_bucket{le="0.5"}')).toEqual([
    'orders_ingest_delay_seconds_bucket{le="0.5"} 0',
  ]);
  expect(await read('orders_ingest_delay_seconds_count')).toEqual(['orders_ingest_delay_seconds_count 6']);
});

test('the lag is what lies between the committed offset and the end, also before anything could be committed', async () => {
  const { progress, read } = open();
  progress.assigned([0, 1]);
  progress.fetched(0, 100n, 250n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 150',
  ]);
  progress.committed(0, 240n);
  progress.end(0, 300n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 60',
  ]);
  progress.fetched(0, 280n, 300n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 60',
  ]);
});

test('a partition that is another member’s has no lag here', async () => {
  const { progress, read } = open();
  progress.assigned([0, 1]);
  progress.fetched(1, 0n, 5n);
  progress.assigned([0]);
  progress.end(1, 9n);
  progress.committed(1, 9n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([]);
});

test('partitions that wait are told as they are when they are read', async () => {
  const { pause, read } = open();
  pause(3);
  expect(await read('orders_consumer_paused_partitions')).toEqual(['orders_consumer_paused_partitions 3']);
  pause(0);
  expect(await read('orders_consumer_paused_partitions')).toEqual(['orders_consumer_paused_partitions 0']);
});
