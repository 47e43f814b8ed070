import type { Batch, EachBatchPayload } from 'kafkajs';
import type { Log } from '../log.ts';
import { pause, within } from '../retry.ts';
import type { Message } from './dead-letters.ts';

/** A chunk goes to PostgreSQL in one round trip: at most so many messages, and no more once it has so many bytes. */
const chunkMessages = 500;
const chunkBytes = 2_097_152;

/** Chunks that are fetched and not yet safe: of one partition, and in all. Fetching waits while there are as many. */
const aheadInLine = 2;
const aheadInAll = 6;

/** While fetching waits, the group is told this often that the member lives, in ms. */
const signEvery = 1_000;
const commitAgainAfter = 500;

/** A partition's chunks are taken one after another, so that the first version of an order is the first to be stored. */
type Line = { ahead: number; tail: Promise<void>; safe?: bigint; committed?: bigint };

type Options = {
  topic: string;
  /** Takes a chunk to where nothing can lose it. Rejects when the signal is aborted. */
  take: (chunk: Message[], signal: AbortSignal) => Promise<void>;
  committed: (partition: number, offset: bigint) => void;
  log: Log;
};

/**
 * The partitions that a member of the group has, from one join to the next. Fetching, storing and committing overlap:
 * kafkajs's position runs ahead of what is stored, and an offset is committed only when everything before it is safe.
 * After the next join everything that is not committed is fetched again, by us or by another member.
 */
export const createAssignment = ({ topic, take, committed, log }: Options) => {
  const lines = new Map<number, Line>();
  const over = new AbortController();
  const failed = Promise.withResolvers<unknown>();
  let room = Promise.withResolvers<void>();
  let closed = false;
  let ahead = 0;
  let commitOffsets: EachBatchPayload['commitOffsetsIfNecessary'] | undefined;
  let committing: Promise<void> | undefined;

  const lineOf = (partition: number): Line => {
    const line = lines.get(partition) ?? { ahead: 0, tail: Promise.resolve() };
    lines.set(partition, line);
    return line;
  };

  const enqueue = (line: Line, chunk: Message[], next: bigint) => {
    line.ahead++;
    ahead++;
    line.tail = line.tail.then(async () => {
      if (over.signal.aborted) return;
      try {
        if (chunk.length > 0) await take(chunk, over.signal);
        line.safe = next;
        commit();
      } catch (error) {
        // Whatever the reason: nothing behind this chunk may be committed.
        if (!over.signal.aborted) failed.resolve(error);
        over.abort();
      }
      line.ahead--;
      ahead--;
      room.resolve();
      room = Promise.withResolvers();
    });
  };

  const commit = () => {
    committing ??= commitWhatIsSafe().finally(() => {
      committing = undefined;
    });
    return committing;
  };

  const commitWhatIsSafe = async () => {
    while (!over.signal.aborted && commitOffsets) {
      const due = [...lines].filter(([, line]) => line.safe !== line.committed);
      if (due.length === 0) return;
      const offsets = due.map(([partition, line]) => ({ partition, line, offset: line.safe as bigint }));
      try {
        await commitOffsets({
          topics: [
            {
              topic,
              partitions: offsets.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
            },
          ],
        });
      } catch (error) {
        // A rebalance or a broker that is away: the fetch loop meets the same and deals with it.
        log.debug({ error }, 'offsets not committed, trying again');
        await pause(commitAgainAfter, over.signal);
        continue;
      }
      for (const { partition, line, offset } of offsets) {
        line.committed = offset;
        committed(partition, offset);
      }
    }
  };

  return {
    /** Rejects with kafkajs's own errors, which its fetch loop needs to see. */
    async accept({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning }: EachBatchPayload) {
      commitOffsets = commitOffsetsIfNecessary;
      const line = lineOf(batch.partition);
      for (const { chunk, last, next } of chunksOf(batch)) {
        while (!closed && !over.signal.aborted && (line.ahead >= aheadInLine || ahead >= aheadInAll)) {
          await within(signEvery, room.promise);
          await heartbeat();
          if (!isRunning()) return;
        }
        if (closed || over.signal.aborted) return;
        enqueue(line, chunk, next);
        resolveOffset(last);
      }
      await heartbeat();
    },
    /**
     * Offsets up to `next` hold nothing for us: aborted transactions, or records that only Kafka itself reads. They are
     * committed after what is before them, or else the group would seem to lag behind for as long as nothing follows.
     */
    skip(partition: number, next: bigint) {
      if (!closed && !over.signal.aborted) enqueue(lineOf(partition), [], next);
    },
    /** Resolves with the reason when a chunk could not be taken though nobody asked to stop. */
    failed: failed.promise,
    /** Chunks that are fetched and not yet safe. */
    ahead: () => ahead,
    /** Accepts no more, waits at most `grace` ms for what is in flight, and commits what is safe. */
    async finish(grace: number) {
      closed = true;
      await within(grace, Promise.all([...lines.values()].map((line) => line.tail)));
      await within(grace, commit());
      over.abort();
    },
    /** Lets go at once: what is in flight may still be stored, and is not committed. */
    abandon() {
      over.abort();
    },
  };
};

export type Assignment = ReturnType<typeof createAssignment>;

function* chunksOf(batch: Batch): Generator<{ chunk: Message[]; last: string; next: bigint }> {
  const { topic, partition, messages } = batch;
  let chunk: Message[] = [];
  let bytes = 0;
  for (const [index, message] of messages.entries()) {
    chunk.push({ ...message, topic, partition });
    bytes += message.value?.length ?? 0;
    const isLast = index === messages.length - 1;
    if (!isLast && chunk.length < chunkMessages && bytes < chunkBytes) continue;
    // A batch may end with records that only Kafka itself reads.
    yield { chunk, last: message.offset, next: BigInt(isLast ? batch.lastOffset() : message.offset) + 1n };
    chunk = [];
    bytes = 0;
  }
}
