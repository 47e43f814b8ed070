import type { EachBatchPayload, Batch as Fetched } from 'kafkajs';
import { sleep, waitAtMost } from '../async/retry.ts';
import type { Message } from '../kafka/message.ts';
import type { Log } from '../observability/log.ts';
import type { StoredOffset } from '../postgres/offsets.ts';
import type { Batch } from './batch.ts';
import { createFenceError } from './fence.ts';

/** A batch goes to PostgreSQL in one round trip: at most so many messages, and no more once it has so many bytes. */
const batchMessages = 500;
const batchBytes = 2_097_152;

/** Batches that are fetched and not yet stored: of one partition, and in all. Fetching waits while there are as many. */
const inFlightOfPartition = 2;
const inFlightInAll = 6;

/** While fetching waits, the group gets a heartbeat this often, in ms. */
const heartbeatEvery = 1_000;
const commitAgainAfter = 500;

/** A partition's batches are processed one after another, so that the first version of an order is the first to be stored. */
type PartitionQueue = {
  inFlight: number;
  tail: Promise<void>;
  /** Where the next batch has to begin. */
  next: bigint;
  /** Everything before is stored, and so it may be committed. */
  storedOffset: bigint;
  committed: bigint | undefined;
  claim: { value: string };
};

export type Start = { partition: number; start: bigint; committed: bigint | undefined };

type CommitOffsets = (offsets: { partition: number; offset: string }[]) => Promise<void>;

type Options = {
  topic: string;
  /** Takes a batch to where nothing can lose it. Rejects when the signal is aborted, or with a fence. */
  process: (batch: Batch, signal: AbortSignal) => Promise<void>;
  /** How to commit as long as nothing was fetched. */
  commitOffsets: CommitOffsets;
  committed: (partition: number, offset: bigint) => void;
  log: Log;
};

/**
 * The partitions that a member of the group has, from one join to the next. Fetching, storing and committing overlap:
 * kafkajs's position runs ahead of what is stored, and an offset is committed only when everything before it is stored.
 * Each batch has to begin where the one before it ended. After the next join everything that is not stored is fetched
 * again, by us or by another member.
 */
export const createPartitionQueues = ({ topic, process, committed, log, ...options }: Options) => {
  const queues = new Map<number, PartitionQueue>();
  const over = new AbortController();
  const failed = Promise.withResolvers<unknown>();
  let room = Promise.withResolvers<void>();
  let closed = false;
  let inFlight = 0;
  let commitOffsets = options.commitOffsets;
  let committing: Promise<void> | undefined;

  const fail = (error: unknown) => {
    if (!over.signal.aborted) failed.resolve(error);
    over.abort();
  };

  /** Whether the range begins where it has to; otherwise nothing is stored any more. */
  const isNext = (queue: PartitionQueue, partition: number, from: bigint, to: bigint): boolean => {
    if (from === queue.next) return true;
    const reason = from > queue.next ? 'gap' : 'repeated';
    fail(createFenceError({ reason, partition, from, to, expected: queue.next }));
    return false;
  };

  const enqueue = (queue: PartitionQueue, batch: Batch) => {
    queue.next = batch.to;
    queue.inFlight++;
    inFlight++;
    queue.tail = queue.tail.then(async () => {
      if (over.signal.aborted) return;
      try {
        await process(batch, over.signal);
        queue.storedOffset = batch.to;
        commit();
      } catch (error) {
        // Whatever the reason: nothing behind this batch may be committed.
        fail(error);
      }
      queue.inFlight--;
      inFlight--;
      room.resolve();
      room = Promise.withResolvers();
    });
  };

  const commit = () => {
    committing ??= commitWhatIsStored().finally(() => {
      committing = undefined;
    });
    return committing;
  };

  const commitWhatIsStored = async () => {
    while (!over.signal.aborted) {
      const due = [...queues].filter(([, queue]) => queue.storedOffset !== queue.committed);
      if (due.length === 0) return;
      const offsets = due.map(([partition, queue]) => ({ partition, queue, offset: queue.storedOffset }));
      try {
        await commitOffsets(offsets.map(({ partition, offset }) => ({ partition, offset: String(offset) })));
      } catch (error) {
        // A rebalance or a broker that is away: the fetch loop meets the same and deals with it.
        log.debug({ error }, 'offsets not committed, trying again');
        await sleep(commitAgainAfter, over.signal);
        continue;
      }
      for (const { partition, queue, offset } of offsets) {
        queue.committed = offset;
        committed(partition, offset);
      }
    }
  };

  return {
    /** Until then nothing is accepted. `claim` is what holds the partitions in the database. */
    begin(starts: readonly Start[], claim: string) {
      for (const { partition, start, committed } of starts)
        queues.set(partition, {
          inFlight: 0,
          tail: Promise.resolve(),
          next: start,
          storedOffset: start,
          committed,
          claim: { value: claim },
        });
      void commit();
    },
    /** Rejects with kafkajs's own errors, which its fetch loop needs to see. */
    async accept({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning }: EachBatchPayload) {
      const queue = queues.get(batch.partition);
      if (queue) {
        commitOffsets = (partitions) => commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
        for (const { messages, last, from, to } of batchesOf(batch)) {
          while (!closed && !over.signal.aborted && isFull(queue)) {
            await waitAtMost(heartbeatEvery, room.promise);
            await heartbeat();
            if (!isRunning()) return;
          }
          if (closed || over.signal.aborted || !isNext(queue, batch.partition, from, to)) return;
          enqueue(queue, { partition: batch.partition, from, to, messages, claim: queue.claim });
          resolveOffset(last);
        }
      }
      await heartbeat();
    },
    /**
     * Offsets from `from` up to `to` hold nothing for us: aborted transactions, or records that only Kafka itself reads. They are
     * stored and committed after what is before them, or else the group would seem to lag behind for as long as nothing follows.
     */
    skip(partition: number, from: bigint, to: bigint) {
      const queue = queues.get(partition);
      if (!queue || closed || over.signal.aborted || !isNext(queue, partition, from, to)) return;
      enqueue(queue, { partition, from, to, messages: [], claim: queue.claim });
    },
    /** Fails if a partition of which nothing is in flight has another claim in the database than ours. */
    async verify(read: () => Promise<Map<number, StoredOffset>>) {
      const idle = [...queues].filter(([, queue]) => queue.inFlight === 0);
      const claims = idle.map(([partition, queue]) => ({ partition, queue, claim: queue.claim.value }));
      if (claims.length === 0) return;
      const held = await read();
      for (const { partition, queue, claim } of claims) {
        if (queue.inFlight > 0 || queue.claim.value !== claim) continue;
        const stored = held.get(partition);
        if (stored?.claim !== claim)
          fail(createFenceError({ reason: 'claim', partition, expected: stored?.nextOffset }));
      }
    },
    /** Resolves with the reason when a batch could not be processed though nobody asked to stop. */
    failed: failed.promise,
    /** Aborted when nothing is processed any more. */
    signal: over.signal,
    /** Batches that are fetched and not yet stored. */
    inFlight: () => inFlight,
    /** Accepts no more, waits at most `grace` ms for what is in flight, and commits what is stored. */
    async finish(grace: number) {
      closed = true;
      await waitAtMost(grace, Promise.all([...queues.values()].map((queue) => queue.tail)));
      await waitAtMost(grace, commit());
      over.abort();
    },
    /** Lets go at once: what is in flight may still be stored, and is not committed. */
    abandon() {
      over.abort();
    },
  };

  function isFull(queue: PartitionQueue) {
    return queue.inFlight >= inFlightOfPartition || inFlight >= inFlightInAll;
  }
};

export type PartitionQueues = ReturnType<typeof createPartitionQueues>;

/** What a fetch brought, which kafkajs calls a batch, as batches: the first begins where the fetch did. */
function* batchesOf(
  fetched: Fetched,
): Generator<{ messages: Message[]; last: string; from: bigint; to: bigint }> {
  const { topic, partition } = fetched;
  let messages: Message[] = [];
  let bytes = 0;
  let from = BigInt((fetched as Fetched & { fetchedOffset: string }).fetchedOffset);
  for (const [index, message] of fetched.messages.entries()) {
    messages.push({ ...message, topic, partition });
    bytes += message.value?.length ?? 0;
    const isLast = index === fetched.messages.length - 1;
    if (!isLast && messages.length < batchMessages && bytes < batchBytes) continue;
    // A fetch may end with records that only Kafka itself reads.
    const to = BigInt(isLast ? fetched.lastOffset() : message.offset) + 1n;
    yield { messages, last: message.offset, from, to };
    messages = [];
    bytes = 0;
    from = to;
  }
}
