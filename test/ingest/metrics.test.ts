import { expect, setSystemTime, test } from 'bun:test';
import { Registry } from 'prom-client';
import { createConsumerMetrics } from '../../src/ingest/metrics.ts';
import { buildOrder } from '../support/build-order.ts';

const open = () => {
  const registry = new Registry();
  let waiting = 0;
  const metrics = createConsumerMetrics(registry, {
    waitingPartitions: () => waiting,
    commitsFailingSeconds: () => 12,
    partitionsFailingSeconds: () => new Map([[1, 7.5]]),
  });
  return {
    ...metrics,
    pause: (partitions: number) => {
      waiting = partitions;
    },
    /** The samples whose line begins with `name`. */
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

test('a batch counts stored orders, duplicates, and dead letters by stage', async () => {
  const { processed, read } = open();
  const letter = (stage: 'parse' | 'store') => ({ message, stage, error: 'E', reason: 'r' });
  const outcome = {
    stored: [buildOrder()],
    duplicates: 2,
    letters: [letter('parse'), letter('parse'), letter('store')],
    erased: 5,
    lettersBefore: 4,
    tombstones: 3,
  };
  const messages = Array(6).fill({ ...message, timestamp: String(Date.now() - 700) });
  processed({ messages }, outcome, 0.03);
  expect(await read('orders_stored_total')).toEqual(['orders_stored_total 1']);
  expect(await read('orders_duplicates_total')).toEqual(['orders_duplicates_total 2']);
  expect(await read('orders_dead_letters_total')).toEqual([
    'orders_dead_letters_total{stage="parse"} 2',
    'orders_dead_letters_total{stage="validate"} 0',
    'orders_dead_letters_total{stage="store"} 1',
  ]);
  expect(await read('orders_dead_letters_deduplicated_total')).toEqual([
    'orders_dead_letters_deduplicated_total 4',
  ]);
  expect(await read('orders_erased_messages_total')).toEqual(['orders_erased_messages_total 5']);
  expect(await read('orders_tombstones_skipped_total')).toEqual(['orders_tombstones_skipped_total 3']);
  expect(await read('orders_batch_messages_sum')).toEqual(['orders_batch_messages_sum 6']);
  expect(await read('orders_batch_duration_seconds_bucket{le="0.05"}')).toEqual([
    'orders_batch_duration_seconds_bucket{le="0.05"} 1',
  ]);
  expect(await read('orders_ingest_delay_seconds_bucket{le="0.5"}')).toEqual([
    'orders_ingest_delay_seconds_bucket{le="0.5"} 0',
  ]);
  expect(await read('orders_ingest_delay_seconds_count')).toEqual(['orders_ingest_delay_seconds_count 6']);
});

test('the lag is the distance from the committed offset to the end, also before the member has committed', async () => {
  const { progress, read } = open();
  progress.assigned([0, 1]);
  progress.fetched(0, 100n, 250n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 150',
  ]);
  progress.committed(0, 240n);
  progress.polled(0, { end: 300n, committed: 230n });
  expect(await read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 60',
  ]);
  progress.fetched(0, 280n, 300n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 60',
  ]);
});

test('a partition of another member has no lag here', async () => {
  const { progress, read } = open();
  progress.assigned([0, 1]);
  progress.fetched(1, 0n, 5n);
  progress.assigned([0]);
  progress.polled(1, { end: 9n, committed: 0n });
  progress.committed(1, 9n);
  expect(await read('orders_consumer_lag_messages{')).toEqual([]);
});

test('the lag of a partition that no member has yet is reported by the leader of the group only', async () => {
  const [leader, other] = [open(), open()];
  leader.progress.assigned([0, 2], [0, 1, 2]);
  other.progress.assigned([1]);
  for (const { progress } of [leader, other])
    for (const [partition, committed] of [1n, 2n, 3n, 0n].entries())
      progress.polled(partition, { end: 10n, committed });
  expect(await leader.read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="0"} 9',
    'orders_consumer_lag_messages{partition="2"} 7',
    'orders_consumer_lag_messages{partition="3"} 10',
  ]);
  expect(await other.read('orders_consumer_lag_messages{')).toEqual([
    'orders_consumer_lag_messages{partition="1"} 8',
  ]);
  leader.progress.assigned([0, 2]);
  other.progress.assigned([1, 3], [0, 1, 2, 3]);
  for (const { progress } of [leader, other]) progress.polled(3, { end: 12n, committed: 0n });
  expect(await leader.read('orders_consumer_lag_messages{partition="3"}')).toEqual([]);
  expect(await other.read('orders_consumer_lag_messages{partition="3"}')).toEqual([
    'orders_consumer_lag_messages{partition="3"} 12',
  ]);
});

test('the time for which commits have failed is read when metrics are collected', async () => {
  expect(await open().read('orders_consumer_commits_failing_seconds')).toEqual([
    'orders_consumer_commits_failing_seconds 12',
  ]);
});

test('the number of waiting partitions is read when metrics are collected', async () => {
  const { pause, read } = open();
  pause(3);
  expect(await read('orders_consumer_waiting_partitions')).toEqual(['orders_consumer_waiting_partitions 3']);
  pause(0);
  expect(await read('orders_consumer_waiting_partitions')).toEqual(['orders_consumer_waiting_partitions 0']);
});

test('a partition that cannot be read is shown with its time, and the others with 0', async () => {
  const { progress, read } = open();
  progress.assigned([0, 1]);
  expect(await read('orders_consumer_partition_failing_seconds{')).toEqual([
    'orders_consumer_partition_failing_seconds{partition="0"} 0',
    'orders_consumer_partition_failing_seconds{partition="1"} 7.5',
  ]);
  progress.assigned([0]);
  expect(await read('orders_consumer_partition_failing_seconds{')).toEqual([
    'orders_consumer_partition_failing_seconds{partition="0"} 0',
  ]);
});

test('the progress of a partition is renewed by a commit of it, and not by a join', async () => {
  const { progress, read } = open();
  const at = (second: number) => setSystemTime(second * 1000);
  try {
    at(100);
    progress.assigned([0, 1, 2]);
    at(200);
    progress.committed(1, 5n);
    at(300);
    progress.assigned([0, 1, 3]);
    expect(await read('orders_consumer_progress_timestamp_seconds{')).toEqual([
      'orders_consumer_progress_timestamp_seconds{partition="0"} 100',
      'orders_consumer_progress_timestamp_seconds{partition="1"} 200',
      'orders_consumer_progress_timestamp_seconds{partition="3"} 300',
    ]);
  } finally {
    setSystemTime();
  }
});
