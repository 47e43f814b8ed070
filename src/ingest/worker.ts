import { Registry } from 'prom-client';
import { createBrokers } from '../kafka/brokers.ts';
import { createKafka } from '../kafka/client.ts';
import type { Message } from '../kafka/message.ts';
import { limitBatches } from '../kafka/record-batches.ts';
import { ensureTopics } from '../kafka/topics.ts';
import { createLog } from '../observability/log.ts';
import { createReadings } from '../observability/metrics/reading.ts';
import { addThreadMetrics } from '../observability/metrics/thread.ts';
import { createServiceState } from '../observability/service-state.ts';
import { openTracing, tracedBy } from '../observability/tracing/tracing.ts';
import type { Order } from '../order/order.ts';
import { summarize } from '../order/summary.ts';
import { createOffsets } from '../postgres/offsets.ts';
import { openDatabase } from '../postgres/pool.ts';
import { addPoolMetrics } from '../postgres/pool-metrics.ts';
import { createStore } from '../postgres/store.ts';
import { traceStore } from '../postgres/traced-store.ts';
import type { Batch } from './batch.ts';
import { createCommitState } from './commit-state.ts';
import { createConsumer } from './consumer.ts';
import { createDeadLetters } from './dead-letter.ts';
import { createIngest } from './ingest.ts';
import { watchOffsets } from './lag.ts';
import { createConsumerMetrics } from './metrics.ts';
import { createNotice } from './notice.ts';
import { createPositions } from './positions.ts';
import type { ConsumerSettings, FromConsumer, ToConsumer } from './thread-protocol.ts';
import { traceDeadLetters, traceIngest } from './traced-messages.ts';

/**
 * The thread of a consumer. It has an event loop of its own, as decoding and checking a backlog would keep lookups waiting;
 * `bench/backlog.ts` measures them.
 */
declare const self: Worker;

const send = (message: FromConsumer) => self.postMessage(message);

/** The live list shows no more of one batch. */
const shown = 5;

/**
 * After so many messages garbage is collected. Left to itself the collector lets it grow: with this a backlog of a million
 * orders drains below 290 MB resident, for some percent of this thread's time.
 */
const collectEvery = 20_000;

/** So long `/readyz` says that records were deleted before they were read, in ms. */
const deletedShown = 3_600_000;

const start = async (settings: ConsumerSettings) => {
  const { name, topic, deadLetterTopic, groupId, partitions } = settings;
  const tracing = await openTracing(settings.tracing, createLog(settings.logLevel, name));
  const log = createLog(settings.logLevel, name, tracing?.ids);
  const brokers = createBrokers(settings.kafka.brokers, log, () => tellState());
  const kafka = createKafka(settings.kafka, `order-lookup-${name}`, log, brokers);
  const sql = openDatabase({
    url: settings.databaseUrl,
    connections: settings.databasePool,
    name,
    // A batch may wait for locks, and for a busy disk.
    silenceTimeoutSeconds: 30,
  });
  const topics = { topic, deadLetterTopic, partitions };
  const deadLetters = createDeadLetters({
    kafka,
    topic: deadLetterTopic,
    raiseLimit: (letterBytes) => ensureTopics(kafka, { ...topics, letterBytes }, log),
  });

  const tellState = () =>
    send({
      type: 'state',
      state: {
        kafka: kafkaState.reason(),
        postgres: postgresState.reason(),
        offsets: deleted.text(),
        kafkaDegraded: commits.reason() ?? (brokers.isInTrouble() ? 'a broker does not answer' : undefined),
      },
    });
  const kafkaState = createServiceState('Kafka', log, {
    changed: tellState,
    initialReason: 'not reached yet',
  });
  const postgresState = createServiceState('PostgreSQL', log, { changed: tellState });
  const commits = createCommitState(log, tellState);
  const deleted = createNotice(deletedShown, tellState);

  const registry = new Registry();
  registry.setDefaultLabels({ thread: name });
  const thread = addThreadMetrics(registry);
  addPoolMetrics(createReadings(registry), sql, settings.databasePool);
  let processing = 0;
  let uncollected = 0;
  const metrics = createConsumerMetrics(registry, {
    paused: () => (postgresState.reason() ? processing : 0),
    commitsFailingSeconds: commits.failingSeconds,
  });

  const traced = tracedBy(tracing);
  const group = { groupId, topic };
  const consumedOffsets = createOffsets(sql);
  const ingest = traced(
    traceIngest(group),
    createIngest({
      group,
      store: traced(traceStore, createStore(sql)),
      offsets: consumedOffsets,
      deadLetters: traced(traceDeadLetters(deadLetterTopic), deadLetters),
      postgres: postgresState,
      kafka: kafkaState,
    }),
  );
  const tellStored = (orders: readonly Order[]) => {
    const now = new Date();
    send({
      type: 'stored',
      uids: orders.map((order) => order.order_uid),
      newest: orders.slice(-shown).map((order) => summarize(order, now)),
    });
  };
  const collect = (messages: number) => {
    uncollected += messages;
    if (uncollected < collectEvery) return;
    uncollected = 0;
    Bun.gc(true);
  };
  /** One line for each batch, as there may be a thousand of them. */
  const reportUnreadable = (messages: readonly Message[]) => {
    const batches = messages.filter((message) => message.unreadable);
    const [first] = batches;
    if (!first?.unreadable) return;
    const { partition, unreadable } = first;
    const fields = { partition, batches: batches.length, reason: unreadable.reason };
    log.warn(fields, 'record batches that cannot be read became dead letters without values');
  };
  const process = async (batch: Batch, signal: AbortSignal) => {
    const begun = performance.now();
    processing++;
    const outcome = await ingest(batch, signal).finally(() => processing--);
    metrics.batch(batch, outcome, (performance.now() - begun) / 1000);
    if (outcome.stored.length > 0) tellStored(outcome.stored);
    reportUnreadable(batch.messages);
    collect(batch.messages.length);
  };

  const positions = createPositions({
    kafka,
    group,
    offsets: consumedOffsets,
    postgres: postgresState,
    kafkaState,
    began(partition, start, high) {
      metrics.progress.began(partition, start, high);
      if (start.deleted > 0n)
        deleted.raise(
          `Kafka has deleted ${start.deleted} records of partition ${partition} before they were read`,
        );
    },
    log,
  });
  const prepare = async () => {
    const topicBytes = await ensureTopics(kafka, topics, log);
    limitBatches(settings.maxBatchBytes ?? null, topicBytes);
    await deadLetters.connect();
  };
  const consumer = createConsumer({
    kafka,
    group,
    prepare,
    positions,
    readOffsets: () => consumedOffsets.read(group),
    process,
    state: kafkaState,
    commits,
    log,
    progress: metrics.progress,
  });
  const offsets = watchOffsets({ kafka, groupId, topic, known: metrics.progress.known, log });
  consumer.start();

  return {
    metrics: () => registry.getMetricsAsJSON(),
    async stop() {
      offsets.stop();
      thread.stop();
      deleted.stop();
      await consumer.stop();
      await Promise.allSettled([deadLetters.disconnect(), sql.end({ timeout: 1 }), tracing?.close()]);
    },
  };
};

let running: ReturnType<typeof start> | undefined;

self.onmessage = async ({ data }: MessageEvent<ToConsumer>) => {
  if (data.type === 'start') running = start(data.settings);
  if (data.type === 'metrics')
    send({ type: 'metrics', request: data.request, metrics: (await (await running)?.metrics()) ?? [] });
  if (data.type === 'stop') {
    await (await running)?.stop();
    send({ type: 'stopped' });
  }
};
