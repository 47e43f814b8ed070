import type { Kafka } from 'kafkajs';
import type { Sql } from 'postgres';
import { stopTimeoutsMs } from '../async/stop-timeouts.ts';
import { waitAtMost } from '../async/timeouts.ts';
import type { Message } from '../kafka/message.ts';
import { limitBatches } from '../kafka/record-batches.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';
import { createServiceState } from '../observability/service-state.ts';
import { type Tracing, tracedBy } from '../observability/tracing/tracing.ts';
import { createOrderParser } from '../order/parser.ts';
import type { OrderRules } from '../order/rules.ts';
import { combineSaves } from '../postgres/combined-saves.ts';
import { isReadOnly } from '../postgres/errors.ts';
import { createOffsets } from '../postgres/offsets.ts';
import { createStore } from '../postgres/store.ts';
import { traceSaves, traceStore } from '../postgres/traced-store.ts';
import type { Batch, Tombstones } from './batch.ts';
import { createCommitState } from './commit-state.ts';
import { createConsumer } from './consumer.ts';
import { createDeadLetters } from './dead-letter.ts';
import { type BatchOutcome, createIngest, type Ingest } from './ingest.ts';
import { createKafkaOffsets } from './kafka-offsets.ts';
import { type KnownOffsets, pollEndOffsets } from './lag.ts';
import type { MemberOptions } from './member.ts';
import { createNotice } from './notice.ts';
import { createPartitionHealth, noLeader } from './partition-health.ts';
import { createPositions } from './positions.ts';
import type { StartOffset } from './start-offset.ts';
import { createTopicCheck } from './topic-check.ts';
import { traceDeadLetters, traceIngest } from './traced-messages.ts';

/** How long the state mentions records that Kafka deleted before they were read. */
const deletedNoticeMs = 3_600_000;

export type PipelineSettings = {
  topic: string;
  deadLetterTopic: string;
  groupId: string;
  rules: OrderRules;
  /** How many partitions a topic gets that has to be created. */
  partitions: number;
  /** The decompressed size of a batch, in bytes; null or unset: 16 times what the topic accepts. */
  maxBatchBytes?: number | null;
  /** How long dead letters are kept; null or unset: without end. */
  letterRetentionDays?: number | null;
  /** What a message without a value becomes; unset: a dead letter. */
  tombstones?: Tombstones;
};

/** What is wrong, in one line each; undefined while nothing is. */
export type PipelineState = {
  /** Orders are not read. */
  kafka: string | undefined;
  /** Orders are read and stored all the same. */
  kafkaDegraded: string | undefined;
  postgres: string | undefined;
  /** Whether PostgreSQL is away as it is read-only: another process may still be able to store orders. */
  isReadOnly: boolean;
  /** Records were deleted unread. */
  offsets: string | undefined;
};

/** Called as things happen; for metrics. */
type Observer = {
  processed(batch: Batch, outcome: BatchOutcome, seconds: number): void;
  progress: MemberOptions['progress'] & {
    /** Reading of a partition begins; `end` is the offset after its last message. */
    started(partition: number, start: StartOffset, end: bigint): void;
    polled(partition: number, offsets: KnownOffsets): void;
  };
};

type Options = {
  kafka: Kafka;
  sql: Sql;
  settings: PipelineSettings;
  observer: Observer;
  stateChanged: () => void;
  log: Log;
  tracing?: Tracing | undefined;
  /** For tests, which do not wait for a minute. */
  topicCheckIntervalMs?: number | undefined;
  /** For tests, which delay batches or let them fail. */
  wrapIngest?: (ingest: Ingest) => Ingest;
};

/** All that a message passes from the topic to PostgreSQL or to the dead-letter topic. The clients remain the caller's to close. */
export const createPipeline = ({
  kafka,
  sql,
  settings,
  observer: { processed, progress },
  stateChanged,
  log,
  tracing,
  topicCheckIntervalMs,
  wrapIngest = (ingest) => ingest,
}: Options) => {
  const { topic, deadLetterTopic, groupId, partitions } = settings;
  const group = { groupId, topic };
  const { letterRetentionDays, tombstones = 'dead-letter' } = settings;
  const topics = { topic, deadLetterTopic, partitions, letterRetentionDays };
  const traced = tracedBy(tracing);

  const kafkaState = createServiceState('Kafka', log, {
    changed: stateChanged,
    initialReason: 'not reached yet',
  });
  const postgres = createServiceState('PostgreSQL', log, { changed: stateChanged });
  const commits = createCommitState(log, stateChanged);
  const deleted = createNotice(deletedNoticeMs, stateChanged);

  const health = createPartitionHealth(topic, log, stateChanged);
  const kafkaOffsets = createKafkaOffsets(kafka, group, log);
  const store = createStore(sql);
  const offsets = createOffsets(sql);
  let topicBytes = 0;
  const topicCheck = createTopicCheck({
    kafka,
    topics,
    messageBytesRead(bytes) {
      // A lowered one counts from the next start on: larger batches from before may still have to be read.
      topicBytes = Math.max(topicBytes, bytes);
      limitBatches(settings.maxBatchBytes ?? null, topicBytes, topicCheck.renewMessageBytes);
    },
    log,
    intervalMs: topicCheckIntervalMs,
  });
  const deadLetters = createDeadLetters({
    kafka,
    topic: deadLetterTopic,
    letterTopic: topicCheck.letterTopic,
    checkTopic: topicCheck.check,
  });
  const ingest = wrapIngest(
    traced(
      traceIngest(group),
      createIngest({
        group,
        tombstones,
        parser: createOrderParser(settings.rules),
        store: traced(traceStore, store),
        saveBatch: traced(traceSaves, combineSaves(store, { log })),
        offsets,
        deadLetters: traced(traceDeadLetters(deadLetterTopic), deadLetters),
        postgres,
        kafka: kafkaState,
        cancelled: createCancelledWarning(log),
      }),
    ),
  );

  let processing = 0;
  const persistBatch = async (batch: Batch, signal: AbortSignal) => {
    const startedAt = performance.now();
    processing++;
    const outcome = await ingest(batch, signal).finally(() => processing--);
    processed(batch, outcome, (performance.now() - startedAt) / 1000);
    reportUnreadable(batch.messages, log);
  };

  const consumer = createConsumer({
    kafka,
    group,
    prepare: async () => {
      await topicCheck.check();
      await deadLetters.connect();
    },
    positions: createPositions({
      kafkaOffsets,
      group,
      offsets,
      postgres,
      kafkaState,
      health,
      started(partition, start, end) {
        progress.started(partition, start, end);
        if (start.deleted > 0n)
          deleted.raise(
            `Kafka has deleted ${start.deleted} records of partition ${partition} before they were read`,
          );
      },
      log,
    }),
    health,
    readOffsets: () => offsets.read(group),
    persistBatch,
    kafkaState,
    commits,
    log,
    progress,
  });
  const polling = pollEndOffsets({
    kafkaOffsets,
    onLeaders(led, leaderless) {
      for (const partition of led) health.markUp('leader', partition);
      for (const partition of leaderless) health.markDown('leader', partition, noLeader);
    },
    polled: progress.polled,
    log,
  });
  consumer.start();
  topicCheck.poll();

  return {
    state: (): PipelineState => ({
      kafka: kafkaState.reason(),
      kafkaDegraded: health.reason() ?? commits.reason(),
      postgres: postgres.reason(),
      isReadOnly: isReadOnly(postgres.error()),
      offsets: deleted.text(),
    }),
    /** How many partitions have a batch that waits for PostgreSQL. */
    waitingPartitions: () => (postgres.reason() ? processing : 0),
    /** For how long no offset could be committed, in s; 0 while they can. */
    commitsFailingSeconds: commits.failingSeconds,
    /** For how long each partition cannot be read, in s, without those that can. */
    partitionsFailingSeconds: health.failingSeconds,
    /** Stores and commits what is in flight, as far as a few seconds allow. */
    async stop() {
      polling.stop();
      topicCheck.stop();
      deleted.stop();
      await consumer.stop();
      await waitAtMost(stopTimeoutsMs.leaveGroup, kafkaOffsets.close());
      await waitAtMost(
        stopTimeoutsMs.deadLetters,
        deadLetters.disconnect().catch((error) => log.debug({ error }, 'not disconnected')),
      );
    },
  };
};

/** Warns at most once in this time, as every batch may need it. */
const cancelledWarningMs = 600_000;

const createCancelledWarning = (log: Log) => {
  let warnedAt = Number.NEGATIVE_INFINITY;
  return (orders: number, error: unknown) => {
    if (performance.now() - warnedAt < cancelledWarningMs) return;
    warnedAt = performance.now();
    log.warn(
      { orders, error: errorText(error) },
      'PostgreSQL cancelled the insertion of a batch: its statement_timeout is too short. The batch is inserted in parts, which takes longer',
    );
  };
};

/** Logs one line a batch, as it may hold a thousand unreadable record batches. */
const reportUnreadable = (messages: readonly Message[], log: Log) => {
  const unreadable = messages.filter((message) => message.unreadable);
  const [first] = unreadable;
  if (!first) return;
  const fields = {
    partition: first.partition,
    batches: unreadable.length,
    reason: first.unreadable?.reason,
  };
  log.warn(fields, 'record batches that cannot be read became dead letters without values');
};
