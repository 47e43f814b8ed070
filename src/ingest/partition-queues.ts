import type { EachBatchPayload } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import { waitAtMost } from '../async/timeouts.ts';
import type { Log } from '../observability/log.ts';
import type { StoredOffset } from '../postgres/offsets.ts';
import type { Batch } from './batch.ts';
import type { LogCheck } from './divergence.ts';
import { createFenceError } from './fence.ts';
import {
  append,
  batchesOf,
  type Epochs,
  type FetchedBatch,
  fullness,
  isAppendable,
} from './fetched-batches.ts';

/**
 * Backpressure: fetching waits while this number of batches is in flight, of one partition or of all. Those of all may be more while
 * they are so small that together they would not fill a batch.
 */
const maxInFlightPerPartition = 2;
const maxInFlight = 6;
/**
 * A partition whose batch is not stored within this time is stuck: an order is locked, or a dead letter cannot be sent. It is not
 * fetched until it has room, as kafkajs fetches nothing of a broker while it waits for one of its partitions.
 */
const stuckAfterMs = 2_000;
/** Batches in flight with those of stuck partitions, which otherwise do not count. */
const maxInFlightWithStuck = 24;

/** The heartbeat interval while fetching waits. */
const heartbeatIntervalMs = 1_000;
const commitRetryMs = 500;

/** Processes a partition's batches one after another, so that the first version of an order is the first to be stored. */
type PartitionQueue = {
  inFlight: number;
  /** The last batch of the queue, while its processing has not begun: what is fetched meanwhile may be appended to it. */
  waiting: QueuedBatch | undefined;
  /** When the batch that is being processed was begun, by `performance.now()`; undefined while there is none. */
  begunAt: number | undefined;
  /** Settles with the last batch of the queue. */
  tail: Promise<void>;
  /** Where the next batch has to begin. */
  next: bigint;
  /** The log of the leader with this epoch had all records before `storedOffset`; undefined if it is not known. */
  leaderEpoch: number | undefined;
  /** All messages before it are stored or dead letters, so that it may be committed. */
  storedOffset: bigint;
  committed: bigint | undefined;
  claim: { value: string };
};

export type Start = {
  partition: number;
  start: bigint;
  committed: bigint | undefined;
  /** The log of the leader with this epoch had all records before `start`; undefined if it is not known. */
  leaderEpoch: number | undefined;
};

type CommitOffsets = (offsets: { partition: number; offset: string }[]) => Promise<void>;

type Options = {
  topic: string;
  /** Persists a batch. Rejects when the signal is aborted, or with a fence. */
  persistBatch: (batch: Batch, signal: AbortSignal) => Promise<void>;
  /** Called when a batch comes from another leader than the one before it: then the log may have been truncated in between. */
  checkLog: LogCheck;
  /** Commits until the first fetch, which brings a way to commit of its own. */
  commitOffsets: CommitOffsets;
  committed: (partition: number, offset: bigint) => void;
  /** Called with all partitions that are to be fetched from now on, when one is stuck, and when it has room again. */
  fetchOnly: (partitions: number[]) => void;
  log: Log;
};

/**
 * The queues of the partitions that a member is assigned, from one rebalance to the next. Fetching, storing and committing
 * overlap: kafkajs fetches further than what is stored, and an offset is committed only when everything before it is
 * stored. Each batch has to begin where the one before it ended. After a rebalance all that is not stored is fetched again, by
 * this member or by another.
 */
export const createPartitionQueues = ({
  topic,
  persistBatch,
  checkLog,
  committed,
  fetchOnly,
  log,
  ...options
}: Options) => {
  const queues = new Map<number, PartitionQueue>();
  const ending = new AbortController();
  const failed = Promise.withResolvers<unknown>();
  let batchDone = Promise.withResolvers<void>();
  let isClosed = false;
  const inFlight = new Set<QueuedBatch>();
  let commitOffsets = options.commitOffsets;
  let committing: Promise<void> | undefined;
  /** The stuck partitions that are not fetched. */
  const paused = new Set<number>();

  const fail = (error: unknown) => {
    if (!ending.signal.aborted) failed.resolve(error);
    ending.abort();
  };

  const isStuck = ({ begunAt }: PartitionQueue) =>
    begunAt !== undefined && performance.now() - begunAt > stuckAfterMs;

  const isFull = (queue: PartitionQueue) => {
    if (queue.inFlight >= maxInFlightPerPartition) return true;
    const moving = [...inFlight].filter(({ partition }) => !isStuck(queues.get(partition) ?? queue));
    return fill(moving, maxInFlight) || fill([...inFlight], maxInFlightWithStuck);
  };

  const pause = (partition: number) => {
    paused.add(partition);
    fetchOthers();
    log.info({ topic, partition }, 'the partition waits until its batch is stored; others are read');
  };
  const resume = (partition: number) => {
    if (!paused.delete(partition)) return;
    fetchOthers();
    log.info({ topic, partition }, 'the partition is read again');
  };
  const fetchOthers = () => fetchOnly([...queues.keys()].filter((partition) => !paused.has(partition)));

  /** Fails, and returns false, if the range does not begin where the last one ended. */
  const isNext = (queue: PartitionQueue, partition: number, from: bigint, to: bigint): boolean => {
    if (from === queue.next) return true;
    const reason = from > queue.next ? 'gap' : 'repeated';
    fail(createFenceError({ reason, partition, from, to, expected: queue.next }));
    return false;
  };

  /**
   * The leader epoch to store with the end of the range, which only rises: a lower one is damaged. Fails if records before the range
   * are gone.
   */
  const checkEpochs = async (
    queue: PartitionQueue,
    { partition, from, to, epochs }: QueuedBatch,
  ): Promise<number | undefined> => {
    const { leaderEpoch } = queue;
    if (leaderEpoch === undefined || epochs === undefined || epochs.first === leaderEpoch)
      return highestEpoch(leaderEpoch, epochs);
    const found = await checkLog({ partition, leaderEpoch, offset: from }, ending.signal);
    if (found === 'diverged') throw createFenceError({ reason: 'diverged', partition, from, to });
    return found === 'unknown-epoch' ? epochs.last : highestEpoch(leaderEpoch, epochs);
  };

  const enqueue = (queue: PartitionQueue, batch: QueuedBatch) => {
    queue.next = batch.to;
    if (queue.waiting && isAppendable(queue.waiting, batch)) return append(queue.waiting, batch);
    queue.waiting = batch;
    queue.inFlight++;
    inFlight.add(batch);
    queue.tail = queue.tail.then(async () => {
      if (queue.waiting === batch) queue.waiting = undefined;
      if (ending.signal.aborted) return;
      queue.begunAt = performance.now();
      try {
        const leaderEpoch = await checkEpochs(queue, batch);
        const { partition, from, to, messages } = batch;
        await persistBatch({ partition, from, to, messages, leaderEpoch, claim: queue.claim }, ending.signal);
        queue.leaderEpoch = leaderEpoch;
        queue.storedOffset = to;
        commit();
      } catch (error) {
        // Whatever the error: no offset after this batch may be committed.
        fail(error);
      }
      queue.begunAt = undefined;
      queue.inFlight--;
      inFlight.delete(batch);
      if (!isClosed && !ending.signal.aborted) resume(batch.partition);
      batchDone.resolve();
      batchDone = Promise.withResolvers();
    });
  };

  const commit = () => {
    committing ??= commitStored().finally(() => {
      committing = undefined;
    });
    return committing;
  };

  const commitStored = async () => {
    while (!ending.signal.aborted) {
      const due = [...queues].filter(([, queue]) => queue.storedOffset !== queue.committed);
      if (due.length === 0) return;
      const offsets = due.map(([partition, queue]) => ({ partition, queue, offset: queue.storedOffset }));
      try {
        await commitOffsets(offsets.map(({ partition, offset }) => ({ partition, offset: String(offset) })));
      } catch (error) {
        // In a rebalance, or while a broker is down. The fetch loop gets the same error, and handles it.
        log.debug({ error }, 'offsets not committed, trying again');
        await sleep(commitRetryMs, ending.signal);
        continue;
      }
      for (const { partition, queue, offset } of offsets) {
        queue.committed = offset;
        committed(partition, offset);
      }
    }
  };

  return {
    /** Opens a queue for each partition; batches that come earlier are ignored. `claim` is the fencing token of all of them. */
    begin(starts: readonly Start[], claim: string) {
      for (const { partition, start, committed, leaderEpoch } of starts)
        queues.set(partition, {
          inFlight: 0,
          waiting: undefined,
          begunAt: undefined,
          tail: Promise.resolve(),
          next: start,
          leaderEpoch,
          storedOffset: start,
          committed,
          claim: { value: claim },
        });
      void commit();
    },
    /** Queues what a fetch brought. Rejects with kafkajs's own errors, which its fetch loop has to see. */
    async accept({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning }: EachBatchPayload) {
      const { partition } = batch;
      const queue = queues.get(partition);
      if (queue) {
        commitOffsets = (partitions) => commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
        for (const { lastOffset, ...next } of batchesOf(batch)) {
          const { from, to } = next;
          const hasRoom = () => !isFull(queue) || (queue.waiting && isAppendable(queue.waiting, next));
          while (!isClosed && !ending.signal.aborted && !hasRoom()) {
            // What is not queued is fetched again.
            if (queue.inFlight >= maxInFlightPerPartition && isStuck(queue)) return pause(partition);
            await waitAtMost(heartbeatIntervalMs, batchDone.promise);
            await heartbeat();
            if (!isRunning()) return;
          }
          if (isClosed || ending.signal.aborted || !isNext(queue, partition, from, to)) return;
          enqueue(queue, { partition, ...next });
          resolveOffset(lastOffset);
        }
      }
      await heartbeat();
    },
    /**
     * Queues a range without messages: aborted transactions, or control records. It is stored and committed in its turn;
     * otherwise the group would seem to lag until the next message.
     */
    skip(partition: number, from: bigint, to: bigint, epochs: Epochs | undefined) {
      const queue = queues.get(partition);
      if (!queue || isClosed || ending.signal.aborted || !isNext(queue, partition, from, to)) return;
      enqueue(queue, { partition, from, to, messages: [], bytes: 0, epochs });
    },
    /** Fails if the database has another claim for a partition of which nothing is in flight. */
    async verify(readOffsets: () => Promise<Map<number, StoredOffset>>) {
      const idle = [...queues].filter(([, queue]) => queue.inFlight === 0);
      const claims = idle.map(([partition, queue]) => ({ partition, queue, claim: queue.claim.value }));
      if (claims.length === 0) return;
      const offsets = await readOffsets();
      for (const { partition, queue, claim } of claims) {
        if (queue.inFlight > 0 || queue.claim.value !== claim) continue;
        const stored = offsets.get(partition);
        if (stored?.claim !== claim)
          fail(createFenceError({ reason: 'claim', partition, expected: stored?.nextOffset }));
      }
    },
    /** Resolves with the error when a batch could not be processed, unless the queues had ended before. */
    failed: failed.promise,
    /** Aborted when no batch is processed any more. */
    signal: ending.signal,
    /** How many batches are fetched and not yet stored. */
    inFlight: () => inFlight.size,
    /** Accepts no more batches, waits for those in flight for at most `timeoutMs`, and commits what is stored. */
    async finish(timeoutMs: number) {
      isClosed = true;
      await waitAtMost(timeoutMs, Promise.all([...queues.values()].map((queue) => queue.tail)));
      await waitAtMost(timeoutMs, commit());
      ending.abort();
    },
    /** Ends at once. Batches in flight may still be stored; nothing is committed any more. */
    abandon() {
      ending.abort();
    },
  };
};

export type PartitionQueues = ReturnType<typeof createPartitionQueues>;

type QueuedBatch = Omit<FetchedBatch, 'lastOffset'> & { partition: number };

const highestEpoch = (one: number | undefined, epochs: Epochs | undefined) =>
  epochs && Math.max(one ?? epochs.last, epochs.last);

/** Whether the batches are so many, and so large that together they would fill one. */
const fill = (batches: readonly QueuedBatch[], count: number) =>
  batches.length >= count && batches.reduce((sum, batch) => sum + fullness(batch), 0) >= 1;
