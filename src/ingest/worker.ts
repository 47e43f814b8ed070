/**
 * The thread of a consumer. It has an event loop of its own, as decoding and checking a backlog would delay lookups;
 * `bench/backlog.ts` measures by how much.
 */
import { Registry } from 'prom-client';
import { createBrokers } from '../kafka/brokers.ts';
import { createKafka } from '../kafka/client.ts';
import { createLog } from '../observability/log.ts';
import { createReadings } from '../observability/metrics/reading.ts';
import { addThreadMetrics } from '../observability/metrics/thread.ts';
import { openTracing } from '../observability/tracing/tracing.ts';
import type { Order } from '../order/order.ts';
import { summarize } from '../order/summary.ts';
import { openDatabase } from '../postgres/pool.ts';
import { addPoolMetrics } from '../postgres/pool-metrics.ts';
import { createConsumerMetrics } from './metrics.ts';
import { createPipeline } from './pipeline.ts';
import type { ConsumerSettings, FromConsumer, ToConsumer } from './thread-protocol.ts';

declare const self: Worker;

const send = (message: FromConsumer) => self.postMessage(message);

/** The live list shows no more orders of one batch. */
const summariesPerBatch = 5;

/**
 * Garbage is collected after this number of messages. Otherwise the collector lets the heap grow; with this a backlog of a million
 * orders drains below 290 MB resident, for some percent of this thread's time.
 */
const messagesPerCollection = 20_000;

const start = async (settings: ConsumerSettings) => {
  const { name } = settings;
  const tracing = await openTracing(settings.tracing, createLog(settings.logLevel, name));
  const log = createLog(settings.logLevel, name, tracing?.ids);
  const brokers = createBrokers(settings.kafka.brokers, log, () => sendState());
  const sql = openDatabase({
    url: settings.databaseUrl,
    connections: settings.databasePool,
    name,
    // A batch may wait for locks, and for a busy disk.
    silenceTimeoutSeconds: 30,
  });

  const registry = new Registry();
  registry.setDefaultLabels({ thread: name });
  const threadMetrics = addThreadMetrics(registry);
  addPoolMetrics(createReadings(registry), sql, settings.databasePool);
  const metrics = createConsumerMetrics(registry, {
    waitingPartitions: () => pipeline.waitingPartitions(),
    commitsFailingSeconds: () => pipeline.commitsFailingSeconds(),
    partitionsFailingSeconds: () => pipeline.partitionsFailingSeconds(),
  });

  const sendState = () => {
    const state = pipeline.state();
    if (brokers.isDegraded()) state.kafkaDegraded ??= 'a broker does not answer';
    send({ type: 'state', state });
  };
  const sendStored = (orders: readonly Order[]) => {
    const now = new Date();
    send({
      type: 'stored',
      uids: orders.map((order) => order.order_uid),
      newest: orders.slice(-summariesPerBatch).map((order) => summarize(order, now)),
    });
  };
  let uncollected = 0;
  const collectGarbage = (messages: number) => {
    uncollected += messages;
    if (uncollected < messagesPerCollection) return;
    uncollected = 0;
    Bun.gc(true);
  };

  const pipeline = createPipeline({
    kafka: createKafka(settings.kafka, `order-lookup-${name}`, log, brokers),
    sql,
    settings,
    observer: {
      processed(batch, outcome, seconds) {
        metrics.processed(batch, outcome, seconds);
        if (outcome.stored.length > 0) sendStored(outcome.stored);
        collectGarbage(batch.messages.length);
      },
      progress: metrics.progress,
    },
    stateChanged: sendState,
    log,
    tracing,
  });

  return {
    metrics: () => registry.getMetricsAsJSON(),
    async stop() {
      threadMetrics.stop();
      await pipeline.stop();
      await Promise.allSettled([sql.end({ timeout: 1 }), tracing?.close()]);
    },
  };
};

setInterval(() => send({ type: 'alive' }), 1_000);

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
