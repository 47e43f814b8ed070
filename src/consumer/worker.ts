import { Registry } from 'prom-client';
import { createBrokers } from '../brokers.ts';
import { openDatabase } from '../database.ts';
import { createKafka, ensureTopics } from '../kafka.ts';
import { createLog } from '../log.ts';
import { addThreadMetrics } from '../metrics/thread.ts';
import type { Order } from '../order.ts';
import { limitBatches } from '../record-batches.ts';
import { createServiceState } from '../service-state.ts';
import { createStore } from '../store.ts';
import { summarize } from '../summary.ts';
import { traceDeadLetters, traceIngest } from '../tracing/messages.ts';
import { traceStore } from '../tracing/store.ts';
import { openTracing, tracedBy } from '../tracing/tracing.ts';
import { createCommitState } from './commit-state.ts';
import { createConsumer } from './consumer.ts';
import { createDeadLetters, type Message } from './dead-letters.ts';
import { createIngest } from './ingest.ts';
import type { ConsumerSettings, FromConsumer, ToConsumer } from './messages.ts';
import { createConsumerMetrics } from './metrics.ts';
import { watchOffsets } from './offset-watch.ts';

/**
 * The thread of a consumer. It has an event loop of its own, as decoding and checking a backlog would keep lookups waiting;
 * `bench/backlog.ts` measures them.
 */
declare const self: Worker;

const send = (message: FromConsumer) => self.postMessage(message);

/** The live list shows no more of one chunk. */
const shown = 5;

/**
 * After so many messages garbage is collected. Left to itself the collector lets it grow: with this a backlog of a million
 * orders drains below 290 MB resident, for some percent of this thread's time.
 */
const collectEvery = 20_000;

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
    // A chunk may wait for locks, and for a busy disk.
    silenceAtMost: 30,
  });
  const topics = { topic, deadLetterTopic, partitions };
  const deadLetters = createDeadLetters({
    kafka,
    topic: deadLetterTopic,
    makeRoom: (letterBytes) => ensureTopics(kafka, { ...topics, letterBytes }, log),
  });

  const tellState = () =>
    send({
      type: 'state',
      state: {
        kafka: kafkaState.reason(),
        postgres: postgresState.reason(),
        kafkaDegraded: commits.reason() ?? (brokers.isInTrouble() ? 'a broker does not answer' : undefined),
      },
    });
  const kafkaState = createServiceState('Kafka', log, { changed: tellState });
  const postgresState = createServiceState('PostgreSQL', log, { changed: tellState });
  const commits = createCommitState(log, tellState);

  const registry = new Registry();
  registry.setDefaultLabels({ thread: name });
  const thread = addThreadMetrics({ registry, sql, connections: settings.databasePool });
  let taking = 0;
  let uncollected = 0;
  const metrics = createConsumerMetrics(registry, {
    paused: () => (postgresState.reason() ? taking : 0),
    commitsFailingSeconds: commits.failingSeconds,
  });

  const traced = tracedBy(tracing);
  const ingest = traced(
    traceIngest(groupId),
    createIngest({
      store: traced(traceStore, createStore(sql)),
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
  /** One line for each chunk, as there may be a thousand of them. */
  const reportUnreadable = (chunk: readonly Message[]) => {
    const batches = chunk.filter((message) => message.unreadable);
    const [first] = batches;
    if (!first?.unreadable) return;
    const { partition, unreadable } = first;
    const fields = { partition, batches: batches.length, reason: unreadable.reason };
    log.warn(fields, 'record batches that cannot be read became dead letters without values');
  };
  const take = async (chunk: Message[], signal: AbortSignal) => {
    const begun = performance.now();
    taking++;
    const outcome = await ingest(chunk, signal).finally(() => taking--);
    metrics.chunk(chunk, outcome, (performance.now() - begun) / 1000);
    if (outcome.stored.length > 0) tellStored(outcome.stored);
    reportUnreadable(chunk);
    collect(chunk.length);
  };

  const prepare = async () => {
    const topicBytes = await ensureTopics(kafka, topics, log);
    limitBatches(settings.maxBatchBytes ?? null, topicBytes);
    await deadLetters.connect();
  };
  const consumer = createConsumer({
    kafka,
    groupId,
    topic,
    prepare,
    take,
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
