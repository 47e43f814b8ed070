import { type Kafka, type PartitionAssigner, PartitionAssigners } from 'kafkajs';
import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import { waitAtMost } from '../async/timeouts.ts';
import { onFetchResult } from '../kafka/fetch-result.ts';
import type { Log } from '../observability/log.ts';
import type { ServiceState } from '../observability/service-state.ts';
import type { Group, StoredOffset } from '../postgres/offsets.ts';
import type { Batch } from './batch.ts';
import type { CommitState } from './commit-state.ts';
import { createFenceError, type Fence } from './fence.ts';
import { epochsOf, type Fetched } from './fetched-batches.ts';
import type { PartitionHealth } from './partition-health.ts';
import { createPartitionQueues, type PartitionQueues } from './partition-queues.ts';
import type { Positions } from './positions.ts';

/** The shortest that Kafka allows. The partitions of a member that has died are not read until it is over. */
const sessionTimeoutMs = 6_000;
const heartbeatIntervalMs = 1_000;
/** In a rebalance, a member that does not join again within this time loses its partitions. */
const rebalanceTimeoutMs = 8_000;
/** How long until new partitions, and new leaders of partitions, are noticed. */
const metadataMaxAgeMs = 3_000;
/** What a fetch may bring, of one partition and of all of a broker. */
const maxBytesPerPartition = 524_288;
const maxBytes = 2_097_152;
/** After this time without a fetch or a heartbeat a member is replaced. */
export const stallTimeoutMs = 60_000;
/**
 * How often the stored offsets of idle partitions are compared with the database, as they may be changed from outside, and the
 * topic's id with Kafka's, as the topic may be recreated.
 */
const verifyIntervalMs = 2_000;

export type MemberOptions = {
  kafka: Kafka;
  group: Group;
  positions: Positions;
  health: Pick<PartitionHealth, 'assigned' | 'fetched'>;
  /** Reads the stored offsets of the group's partitions. */
  readOffsets: () => Promise<Map<number, StoredOffset>>;
  /** Persists a batch. Rejects when the signal is aborted, or with a fence. */
  persistBatch: (batch: Batch, signal: AbortSignal) => Promise<void>;
  kafkaState: ServiceState;
  commits: Pick<CommitState, 'succeeded' | 'failed'>;
  log: Log;
  progress: {
    /** A fetch began at the offset `first`; `end` is the offset after the partition's last message. */
    fetched(partition: number, first: bigint, end: bigint): void;
    committed(partition: number, offset: bigint): void;
    /** After a rebalance: the partitions of this member and, if it leads the group, those of all members. */
    assigned(partitions: number[], all?: number[]): void;
    /** A batch was fenced off, and the member is replaced. */
    fenced(reason: Fence['reason']): void;
  };
};

/**
 * One member of the group, from joining until `stopping` is aborted; then it stores and commits what is in flight, as far as a
 * few seconds allow. Rejects when kafkajs has given up, when the member has stalled, and with a fence.
 */
export const runMember = async (options: MemberOptions, stopping: AbortSignal): Promise<void> => {
  const { kafka, group, positions, health, readOffsets, persistBatch, kafkaState, commits, log, progress } =
    options;
  const { groupId, topic } = group;
  let partitionsOfAll: number[] = [];
  const member = kafka.consumer({
    groupId,
    partitionAssigners: [
      createAssigner(topic, (partitions) => {
        partitionsOfAll = partitions;
      }),
    ],
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: heartbeatIntervalMs,
    rebalanceTimeout: rebalanceTimeoutMs,
    metadataMaxAge: metadataMaxAgeMs,
    maxWaitTimeInMs: 500,
    maxBytesPerPartition,
    maxBytes,
    allowAutoTopicCreation: false,
    // A member that has crashed is replaced by `consumer.ts`, and nowhere else.
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 10, restartOnFailure: async () => false },
  });
  const ended = Promise.withResolvers<never>();
  // The member may end while it connects, before anything waits for this promise.
  ended.promise.catch(() => {});

  let isReached = false;
  /**
   * Kafka counts as available after a fetch or a commit: a join succeeds also where nothing can be read. Once for each join, as
   * Kafka may reject dead letters all the while.
   */
  const markReached = () => {
    if (isReached) return;
    isReached = true;
    kafkaState.markUp();
  };
  const track = async (commit: Promise<void>) => {
    try {
      await commit;
      commits.succeeded();
      markReached();
    } catch (error) {
      commits.failed(error);
      throw error;
    }
  };
  const createQueues = () => {
    const created = createPartitionQueues({
      topic,
      persistBatch,
      checkLog: positions.checkLog,
      commitOffsets: (offsets) =>
        track(member.commitOffsets(offsets.map((offset) => ({ topic, ...offset })))),
      committed: progress.committed,
      // kafkajs forgets that a topic is paused when a partition of it is: those without a start offset would be fetched.
      fetchOnly(partitions) {
        member.pause([{ topic }]);
        member.resume([{ topic, partitions }]);
      },
      log,
    });
    created.failed.then(ended.reject);
    return created;
  };
  let queues: PartitionQueues = createQueues();

  let activeAt = performance.now();
  const markActive = () => {
    activeAt = performance.now();
  };
  const stallTimer = setInterval(() => {
    if (performance.now() - activeAt > stallTimeoutMs) ended.reject(new Error('the consumer has stalled'));
  }, 1_000);
  const verifyTimer = setInterval(() => {
    queues.verify(readOffsets).catch((error) => log.debug({ error }, 'stored offsets not verified'));
    void verifyTopic();
  }, verifyIntervalMs);

  /** The id of the topic that the assignment began with; undefined before that, or if the cluster gives none. */
  let topicId: string | undefined;
  let isVerifying = false;
  const verifyTopic = async () => {
    const assignedId = topicId;
    if (assignedId === undefined || isVerifying) return;
    isVerifying = true;
    try {
      if ((await positions.isRecreated(assignedId)) && topicId === assignedId)
        ended.reject(createFenceError({ reason: 'recreated' }));
    } catch (error) {
      log.debug({ error }, 'the topic is not verified');
    }
    isVerifying = false;
  };

  /** No partition is fetched until its start offset is known; heartbeats go on meanwhile. */
  const begin = async (joined: PartitionQueues, partitions: number[]) => {
    member.pause([{ topic }]);
    topicId = undefined;
    await positions.begin(partitions, joined.signal, (starts, claim, begunId) => {
      if (joined.signal.aborted) return;
      // Partitions that begin later may be of a later topic: then the first id is not that of the topic any more.
      topicId ??= begunId;
      joined.begin(starts, claim);
      for (const { partition, start } of starts) member.seek({ topic, partition, offset: String(start) });
      member.resume([{ topic, partitions: starts.map(({ partition }) => partition) }]);
    });
  };

  member.on('consumer.fetch', markActive);
  member.on('consumer.heartbeat', markActive);
  onFetchResult(member, ({ bytes, partitions }) => {
    markReached();
    const isFull = bytes > maxBytes - maxBytesPerPartition;
    for (const result of partitions) health.fetched(result.partition, result, isFull);
  });
  member.on('consumer.end_batch_process', ({ payload }) => {
    if (payload.batchSize > 0) return;
    const { partition, lastOffset, fetchedOffset, rawMessages } = payload as typeof payload & Fetched;
    const epochs = epochsOf(rawMessages[0], rawMessages.at(-1));
    queues.skip(partition, BigInt(fetchedOffset), BigInt(lastOffset) + 1n, epochs);
  });
  member.on('consumer.crash', ({ payload }) => ended.reject(payload.error));
  member.on('consumer.group_join', ({ payload }) => {
    markActive();
    queues.abandon();
    const joined = createQueues();
    queues = joined;
    const partitions = payload.memberAssignment[topic] ?? [];
    health.assigned(partitions);
    progress.assigned(partitions, payload.isLeader ? partitionsOfAll : undefined);
    isReached = false;
    if (partitions.length === 0) markReached();
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
        const { batch, commitOffsetsIfNecessary } = payload;
        const { partition, highWatermark } = batch;
        const first = batch.firstOffset() ?? highWatermark;
        progress.fetched(partition, BigInt(first), BigInt(highWatermark));
        return queues.accept({
          ...payload,
          commitOffsetsIfNecessary: (offsets) => track(commitOffsetsIfNecessary(offsets)),
        });
      },
    });
    await Promise.race([ended.promise, aborted(stopping)]);
    member.pause([{ topic }]);
    await queues.finish(stopTimeoutsMs.batchesInFlight);
  } finally {
    clearInterval(stallTimer);
    clearInterval(verifyTimer);
    queues.abandon();
    // With Kafka away this would wait for a request's timeout; but the group notices by itself that a member is gone.
    await waitAtMost(
      stopTimeoutsMs.leaveGroup,
      member.disconnect().catch((error) => log.debug({ error }, 'not disconnected')),
    );
  }
};

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });

/** kafkajs's round-robin assigner, which also reports all partitions when this member, as leader, assigns them. */
const createAssigner =
  (topic: string, assigning: (partitions: number[]) => void): PartitionAssigner =>
  (config) => {
    const roundRobin = PartitionAssigners.roundRobin(config);
    return {
      ...roundRobin,
      assign(group) {
        assigning(config.cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId));
        return roundRobin.assign(group);
      },
    };
  };
