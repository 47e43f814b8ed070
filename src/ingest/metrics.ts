import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { letterStages } from '../kafka/headers.ts';
import { createDurations, registerDurations } from '../observability/metrics/durations.ts';
import type { Batch } from './batch.ts';
import { type Fence, fenceReasons } from './fence.ts';
import type { BatchOutcome } from './ingest.ts';
import type { KnownOffsets } from './lag.ts';
import { type StartOffset, startReasons } from './start-offset.ts';

type Readings = {
  /** Partitions that wait for PostgreSQL. */
  waitingPartitions: () => number;
  commitsFailingSeconds: () => number;
  /** For how long each partition cannot be read, in s, without those that can. */
  partitionsFailingSeconds: () => ReadonlyMap<number, number>;
};

/** The metrics of one consumer. */
export const createConsumerMetrics = (
  registry: Registry,
  { waitingPartitions, commitsFailingSeconds, partitionsFailingSeconds }: Readings,
) => {
  const registers = [registry];
  const stored = new Counter({ name: 'orders_stored_total', help: 'New orders stored', registers });
  const duplicates = new Counter({
    name: 'orders_duplicates_total',
    help: 'Messages whose order was already stored',
    registers,
  });
  const erased = new Counter({
    name: 'orders_erased_messages_total',
    help: 'Messages whose order was erased, so that it was not stored again',
    registers,
  });
  const letters = new Counter({
    name: 'orders_dead_letters_total',
    help: 'Messages sent to the dead-letter topic',
    labelNames: ['stage'],
    registers,
  });
  // Set to 0 first: Prometheus sees no increase in a counter that begins at 1.
  for (const stage of letterStages) letters.inc({ stage }, 0);
  const unreadable = new Counter({
    name: 'orders_unreadable_batches_total',
    help: 'Record batches that could not be decoded; each became one dead letter without a value',
    registers,
  });
  const lettersBefore = new Counter({
    name: 'orders_dead_letters_deduplicated_total',
    help: 'Messages read again that already had a dead letter, so none was sent',
    registers,
  });
  const tombstones = new Counter({
    name: 'orders_tombstones_skipped_total',
    help: 'Messages without a value that were skipped (KAFKA_TOMBSTONES)',
    registers,
  });
  const fences = new Counter({
    name: 'orders_offset_fence_rejections_total',
    help: 'Batches rejected because they did not start at the stored offset (gap, repeated), another member owns the partition (claim), or Kafka has another topic (recreated) or another log (diverged)',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of fenceReasons) fences.inc({ reason }, 0);
  const again = new Counter({
    name: 'orders_offsets_rewound_total',
    help: 'Offsets by which consumption was rewound when a partition was assigned, by reason',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of startReasons) again.inc({ reason }, 0);
  const deleted = new Counter({
    name: 'orders_records_deleted_unread_total',
    help: 'Records that Kafka deleted before the group read them',
    labelNames: ['partition'],
    registers,
  });
  const batchMessages = new Histogram({
    name: 'orders_batch_messages',
    help: 'Messages in a batch, which is of one partition',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  });
  const batchSeconds = new Histogram({
    name: 'orders_batch_duration_seconds',
    help: 'Time from reading a batch until all of its messages are stored or dead-lettered',
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30],
    registers,
  });
  const delay = createDurations([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30, 300]);
  registerDurations(
    registry,
    'orders_ingest_delay_seconds',
    "Time from a message's Kafka timestamp until its order is stored",
    delay,
  );
  const lag = new Gauge({
    name: 'orders_consumer_lag_messages',
    help: 'Consumer lag: messages after the committed offset; the group leader also reports partitions that no member owns yet',
    labelNames: ['partition'],
    registers,
  });
  new Gauge({
    name: 'orders_consumer_waiting_partitions',
    help: 'Partitions with a batch that waits for PostgreSQL',
    registers,
    collect() {
      this.set(waitingPartitions());
    },
  });
  new Gauge({
    name: 'orders_consumer_commits_failing_seconds',
    help: 'How long offset commits to Kafka have been failing; 0 while they succeed',
    registers,
    collect() {
      this.set(commitsFailingSeconds());
    },
  });

  new Gauge({
    name: 'orders_consumer_partition_failing_seconds',
    help: 'How long a partition could not be read: no leader, an error of its broker, or no messages though there are more; 0 while it can',
    labelNames: ['partition'],
    registers,
    collect() {
      this.reset();
      const failing = partitionsFailingSeconds();
      for (const partition of offsets.keys()) this.set({ partition }, failing.get(partition) ?? 0);
    },
  });

  const partitions = new Gauge({
    name: 'orders_consumer_partitions',
    help: 'Partitions assigned to a consumer',
    registers,
  });
  const joins = new Counter({
    name: 'orders_consumer_joins_total',
    help: 'How often a consumer joined its group: at start and at each rebalance',
    registers,
  });
  const progressed = new Gauge({
    name: 'orders_consumer_progress_timestamp_seconds',
    help: 'Unix time of the last offset commit of a partition, or of its assignment to this consumer if that was later',
    labelNames: ['partition'],
    registers,
  });

  const offsets = new Map<number, { end?: bigint; committed?: bigint }>();
  /** The partitions of all members, if this one leads the group. */
  let assignedToAll: ReadonlySet<number> | undefined;
  const setLag = (partition: number, { end, committed }: { end?: bigint; committed?: bigint }) => {
    if (end === undefined || committed === undefined) return;
    lag.set({ partition }, Number(end > committed ? end - committed : 0n));
  };
  const update = (partition: number, known: { end?: bigint; committed?: bigint }) => {
    const own = offsets.get(partition);
    if (own) setLag(partition, Object.assign(own, known));
  };

  return {
    processed({ messages }: Pick<Batch, 'messages'>, outcome: BatchOutcome, seconds: number) {
      if (messages.length === 0) return;
      stored.inc(outcome.stored.length);
      duplicates.inc(outcome.duplicates);
      erased.inc(outcome.erased);
      for (const { stage, message } of outcome.letters) {
        letters.inc({ stage });
        if (message.unreadable) unreadable.inc();
      }
      lettersBefore.inc(outcome.lettersBefore);
      tombstones.inc(outcome.tombstones);
      batchMessages.observe(messages.length);
      batchSeconds.observe(seconds);
      const now = Date.now();
      for (const { timestamp } of messages) delay.observe(Math.max(0, now - Number(timestamp)) / 1000);
    },
    progress: {
      /** `all`: the partitions of all members, if this one leads the group. */
      assigned(assigned: readonly number[], all?: readonly number[]) {
        assignedToAll = all && new Set(all);
        // A join is no progress: a partition that this member had before keeps its time.
        for (const partition of offsets.keys())
          if (!assigned.includes(partition)) progressed.remove({ partition });
        for (const partition of assigned)
          if (!offsets.has(partition)) progressed.setToCurrentTime({ partition });
        offsets.clear();
        lag.reset();
        for (const partition of assigned) {
          offsets.set(partition, {});
          // As above.
          deleted.inc({ partition }, 0);
        }
        partitions.set(assigned.length);
        joins.inc();
      },
      started(partition: number, start: StartOffset, end: bigint) {
        update(partition, { end, committed: start.start });
        if (start.reason) again.inc({ reason: start.reason }, Number(start.again));
        deleted.inc({ partition }, Number(start.deleted));
      },
      fenced: (reason: Fence['reason']) => fences.inc({ reason }),
      /** A fetch begins at the committed offset, as long as this member has committed nothing. */
      fetched: (partition: number, first: bigint, end: bigint) =>
        update(partition, { end, committed: offsets.get(partition)?.committed ?? first }),
      polled(partition: number, { end, committed }: KnownOffsets) {
        const own = offsets.get(partition);
        if (own) {
          const since = own.committed ?? committed;
          update(partition, since === undefined ? { end } : { end, committed: since });
        } else if (assignedToAll && !assignedToAll.has(partition) && committed !== undefined)
          setLag(partition, { end, committed });
      },
      committed(partition: number, committed: bigint) {
        update(partition, { committed });
        progressed.setToCurrentTime({ partition });
      },
    },
  };
};
