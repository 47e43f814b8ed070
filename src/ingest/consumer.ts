import { type Kafka, type Consumer as Member, type PartitionAssigner, PartitionAssigners } from 'kafkajs';
import { backoff, sleep, waitAtMost } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';
import type { ServiceState } from '../observability/service-state.ts';
import type { Group, StoredOffset } from '../postgres/offsets.ts';
import type { Batch } from './batch.ts';
import type { CommitState } from './commit-state.ts';
import { type Fence, fenceOf } from './fence.ts';
import { createPartitionQueues, type PartitionQueues } from './partition-queues.ts';
import type { Positions } from './positions.ts';

/** The least that Kafka allows: a member that has died keeps its partitions waiting for so long, in ms. */
const sessionTimeout = 6_000;
const heartbeatInterval = 1_000;
/** When partitions are given out anew, a member that does not join again within this time is left out, in ms. */
const rebalanceTimeout = 8_000;
/** Partitions that were added, and brokers that hold a partition now, are known after so long at the latest, in ms. */
const metadataMaxAge = 3_000;
/** A member that has neither fetched nor told that it lives for so long is replaced, in ms. */
const silenceAtMost = 60_000;
/** After a stop, what is in flight has so long to be stored, in ms. */
const graceAtStop = 4_000;
const leaveWithin = 2_000;
/** A member that is just connecting to a Kafka that is away is not waited for any longer than this, in ms. */
const stopWithin = 7_000;
/** So often the database is asked whether it has the stored offsets of idle partitions still, in ms: they may be moved from outside. */
const verifyEvery = 2_000;

type Options = {
  kafka: Kafka;
  group: Group;
  /** Makes the topics that are missing. */
  prepare: () => Promise<void>;
  positions: Positions;
  /** The stored offsets of the group's partitions. */
  readOffsets: () => Promise<Map<number, StoredOffset>>;
  /** Takes a batch to where nothing can lose it. Rejects when the signal is aborted, or with a fence. */
  process: (batch: Batch, signal: AbortSignal) => Promise<void>;
  state: ServiceState;
  commits: Pick<CommitState, 'succeeded' | 'failed'>;
  log: Log;
  progress: {
    /** A fetch began at the offset `first`; the partition's newest message is before `end`. */
    fetched(partition: number, first: bigint, end: bigint): void;
    committed(partition: number, offset: bigint): void;
    /**
     * The partitions that this member has from now on; and all that were given out, to whomever, where this member is the
     * group's leader.
     */
    assigned(partitions: number[], all?: number[]): void;
    /** A batch was refused, and the member is replaced. */
    fenced(reason: Fence['reason']): void;
  };
};

/**
 * Reads the topic as a member of the group, for ever. A member that kafkajs has given up, that has fallen silent, or that was
 * fenced off is replaced by a new one, as soon as Kafka lets it.
 */
export const createConsumer = ({
  kafka,
  group: { groupId, topic },
  prepare,
  positions,
  readOffsets,
  process,
  state,
  commits,
  log,
  progress,
}: Options) => {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  /** One member, from joining until it is stopped. Rejects when it has ended by itself. */
  const runMember = async () => {
    let all: number[] = [];
    const member = kafka.consumer({
      groupId,
      partitionAssigners: [
        assignerOf(topic, (partitions) => {
          all = partitions;
        }),
      ],
      sessionTimeout,
      heartbeatInterval,
      rebalanceTimeout,
      metadataMaxAge,
      maxWaitTimeInMs: 500,
      maxBytesPerPartition: 524_288,
      maxBytes: 2_097_152,
      allowAutoTopicCreation: false,
      // A crash is answered here, by a new member, and nowhere else.
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 10, restartOnFailure: async () => false },
    });
    const ended = Promise.withResolvers<never>();
    // It may end while it is still connecting, when nobody waits for this.
    ended.promise.catch(() => {});
    const open = () => {
      const next = createPartitionQueues({
        topic,
        process,
        commitOffsets: (offsets) =>
          followed(member.commitOffsets(offsets.map((offset) => ({ topic, ...offset }))), commits),
        committed: progress.committed,
        log,
      });
      next.failed.then(ended.reject);
      return next;
    };
    let queues: PartitionQueues = open();
    let heard = Date.now();
    const hear = () => {
      heard = Date.now();
    };
    const listening = setInterval(() => {
      if (Date.now() - heard > silenceAtMost) ended.reject(new Error('the consumer has fallen silent'));
    }, 1_000);
    const verifying = setInterval(() => {
      queues.verify(readOffsets).catch((error) => log.debug({ error }, 'stored offsets not verified'));
    }, verifyEvery);

    /** Nothing is fetched until it is known where to begin; heartbeats go on meanwhile. */
    const begin = async (joined: PartitionQueues, partitions: number[]) => {
      member.pause([{ topic }]);
      const { claim, starts } = await positions.begin(partitions, joined.signal);
      if (joined.signal.aborted) return;
      joined.begin(starts, claim);
      for (const { partition, start } of starts) member.seek({ topic, partition, offset: String(start) });
      member.resume([{ topic }]);
    };

    member.on('consumer.fetch', hear);
    member.on('consumer.heartbeat', hear);
    member.on('consumer.end_batch_process', ({ payload }) => {
      if (payload.batchSize > 0) return;
      // Ours, by a patch: where the fetch began.
      const { partition, lastOffset, fetchedOffset } = payload as typeof payload & { fetchedOffset: string };
      queues.skip(partition, BigInt(fetchedOffset), BigInt(lastOffset) + 1n);
    });
    member.on('consumer.crash', ({ payload }) => ended.reject(payload.error));
    member.on('consumer.group_join', ({ payload }) => {
      hear();
      queues.abandon();
      const joined = open();
      queues = joined;
      const partitions = payload.memberAssignment[topic] ?? [];
      progress.assigned(partitions, payload.isLeader ? all : undefined);
      state.markUp();
      log.info({ partitions }, 'joined the group');
      begin(joined, partitions).catch((error) => {
        if (!joined.signal.aborted) ended.reject(error);
      });
    });

    try {
      await member.connect();
      await member.subscribe({ topic, fromBeginning: true });
      await member.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 16,
        eachBatch: (payload) => {
          const { partition, highWatermark } = payload.batch;
          progress.fetched(
            partition,
            BigInt(payload.batch.firstOffset() ?? highWatermark),
            BigInt(highWatermark),
          );
          return queues.accept({
            ...payload,
            commitOffsetsIfNecessary: (offsets) =>
              followed(payload.commitOffsetsIfNecessary(offsets), commits),
          });
        },
      });
      await Promise.race([ended.promise, aborted(stopping.signal)]);
      member.pause([{ topic }]);
      await queues.finish(graceAtStop);
    } finally {
      clearInterval(listening);
      clearInterval(verifying);
      queues.abandon();
      await leave(member, log);
    }
  };

  const run = async () => {
    for (let attempt = 0; !stopping.signal.aborted; attempt++) {
      const begun = Date.now();
      try {
        await prepare();
        if (!stopping.signal.aborted) await runMember();
      } catch (error) {
        const fence = fenceOf(error);
        if (fence) {
          const { from, to, expected, ...place } = fence;
          const offsets = Object.entries({ from, to, expected }).map(([name, offset]) => [
            name,
            offset?.toString(),
          ]);
          log.warn(
            { topic, ...place, ...Object.fromEntries(offsets) },
            'a batch was fenced off and not stored; this member is replaced, and begins again at the stored offset',
          );
          progress.fenced(fence.reason);
        } else state.markDown(error);
        if (Date.now() - begun > silenceAtMost) attempt = 0;
        await sleep(backoff(attempt), stopping.signal);
      }
    }
  };

  return {
    start() {
      running ??= run();
    },
    /** Takes no more messages, lets what is in flight be stored and committed, as far as a few seconds allow, and leaves the group. */
    async stop() {
      stopping.abort();
      await waitAtMost(stopWithin, running ?? Promise.resolve());
      await waitAtMost(leaveWithin, positions.stop());
    },
  };
};

export type Consumer = ReturnType<typeof createConsumer>;

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });

/** kafkajs's own, which also says what it gives out. */
const assignerOf =
  (topic: string, given: (partitions: number[]) => void): PartitionAssigner =>
  (config) => {
    const roundRobin = PartitionAssigners.roundRobin(config);
    return {
      ...roundRobin,
      assign(group) {
        given(config.cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId));
        return roundRobin.assign(group);
      },
    };
  };

const followed = async (commit: Promise<void>, commits: Options['commits']) => {
  try {
    await commit;
    commits.succeeded();
  } catch (error) {
    commits.failed(error);
    throw error;
  }
};

/** With Kafka away, leaving waits for a request's time-out; but the group notices the absence by itself. */
const leave = (member: Member, log: Log) =>
  waitAtMost(
    leaveWithin,
    member.disconnect().catch((error) => log.debug({ error }, 'not disconnected')),
  );
