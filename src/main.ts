/** Opens everything, wires it, and stops it in reverse. The only file that does. */

import { raceAbort, retry, sleep, waitAtMost } from './async/retry.ts';
import { kafkaAddress } from './config/kafka-address.ts';
import { type Config, readConfig } from './config/settings.ts';
import { tracingSettings } from './config/tracing-settings.ts';
import { startProducer } from './embedded/producer.ts';
import { openServices, type Services } from './embedded/services.ts';
import { welcome } from './embedded/welcome.ts';
import { isLoopback } from './http/address.ts';
import { createApp } from './http/app.ts';
import { underBasePath } from './http/base-path.ts';
import { createFeed } from './http/feed.ts';
import { createHealth } from './http/health.ts';
import { createHostCheck } from './http/host.ts';
import { createMetrics } from './http/metrics.ts';
import { createRateLimit } from './http/rate-limit.ts';
import { createRequestCounts } from './http/request-counts.ts';
import { createEventsRoute } from './http/routes/events.ts';
import { createHealthzRoute } from './http/routes/healthz.ts';
import { createMetricsRoute } from './http/routes/metrics.ts';
import { createOrderRoute } from './http/routes/order.ts';
import { createReadyzRoute } from './http/routes/readyz.ts';
import { createSwaggerRoute } from './http/routes/swagger.ts';
import { listen } from './http/server.ts';
import { traceApp } from './http/traced-app.ts';
import { type ConsumerThread, startConsumerThread } from './ingest/thread.ts';
import { createLookup } from './lookup/lookup.ts';
import { createMemoryCache } from './lookup/memory-cache.ts';
import { createRedisCache } from './lookup/redis-cache.ts';
import { createStandbyReads } from './lookup/standby.ts';
import { traceRedis } from './lookup/traced-redis.ts';
import { createWarmUp, keepWarm } from './lookup/warm-up.ts';
import { watchWarmUp } from './lookup/warm-up-watch.ts';
import { errorText } from './observability/error-text.ts';
import { createLog, type Log } from './observability/log.ts';
import { createServiceState } from './observability/service-state.ts';
import { openTracing, type Tracing, tracedBy } from './observability/tracing/tracing.ts';
import { createPage } from './page/handler.tsx';
import { migrate } from './postgres/migrate.ts';
import { openDatabase } from './postgres/pool.ts';
import { createStore, type Store } from './postgres/store.ts';
import { traceStore } from './postgres/traced-store.ts';

/** However much still hangs, the process ends so long after the delay of its stop, in ms. */
const stopWithin = 9_500;
const serviceName = 'order-lookup';

type Run = {
  config: Config;
  log: Log;
  tracing: Tracing | undefined;
  /** Aborted when the process is asked to stop. */
  stopping: AbortSignal;
  /** Resolves some time after that, when every balancer and client has been told to go elsewhere. */
  drained: Promise<void>;
  /** Everything that has to be closed, the last one first. */
  open: AsyncDisposableStack;
  /** The process cannot go on. */
  fail: (error: unknown) => void;
};

/** Rejects with an Error of one line when the process cannot start. */
const start = async (run: Run) => {
  const { config, log, tracing, stopping, drained, open, fail } = run;
  const services = await openServices(config, log);
  open.defer(services.stop);
  services.ended.then((error) => error && fail(error));
  stopping.throwIfAborted();

  const sql = openDatabase({
    url: services.databaseUrl,
    connections: config.databasePool,
    name: 'lookup',
    silenceTimeoutSeconds: 5,
  });
  open.defer(() => sql.end({ timeout: 1 }));
  const traced = tracedBy(tracing);
  const store = traced(traceStore, createStore(sql));
  const postgres = createServiceState('PostgreSQL', log, {
    probe: () => store.ping().then(postgres.markUp, postgres.markDown),
  });
  open.defer(postgres.close);
  const forever = { signal: stopping, failed: postgres.markDown };
  const answers = config.serve.has('http');
  const standby =
    config.databaseReadUrl && answers
      ? openStandby({
          url: config.databaseReadUrl,
          connections: config.databasePool,
          primary: store,
          log,
          open,
        })
      : undefined;

  const memory = createMemoryCache(config.cacheLimit);
  const redis =
    config.redisUrl && answers
      ? traced(traceRedis, createRedisCache({ url: config.redisUrl, limit: config.cacheLimit, log }))
      : undefined;
  open.defer(() => redis?.close());
  const lookup = createLookup({
    memory,
    redis,
    store: standby ?? store,
    // Where a standby answers, an answer says nothing of the primary.
    onSuccess: standby ? undefined : postgres.markUp,
    onFailure: postgres.markDown,
  });
  const isEmbedded = config.brokers === null;
  const feed = answers && (config.liveFeed ?? isEmbedded) ? createFeed() : undefined;
  const consumers: ConsumerThread[] = [];

  const warmUp = watchWarmUp(
    createWarmUp({
      store: { newest: store.newest, find: (standby ?? store).find },
      caches: redis ? [memory, redis] : [memory],
      limit: config.cacheLimit,
      concurrency: config.warmUpConcurrency,
      log,
    }),
  );
  const health = createHealth({
    store,
    standby: standby?.reason,
    redis: redis?.reason,
    consumers: config.serve.has('consumer') ? () => consumers.map((consumer) => consumer.state()) : undefined,
    isWarm: answers ? () => warmUp.last() !== undefined : undefined,
    stopping,
  });
  const requests = createRequestCounts();
  const metrics = createMetrics({
    sql,
    connections: config.databasePool,
    health,
    consumers,
    lookups: answers ? { lookup, requests, memory, redis, standby, feed, warmUp } : undefined,
  });
  open.defer(metrics.stop);
  const { basePath, metricsPort, trustedProxies } = config;
  const metricsRoute = createMetricsRoute({ read: metrics.read, token: config.metricsToken });
  const operations = [
    createHealthzRoute(),
    createReadyzRoute(health),
    ...(metricsPort === null ? [metricsRoute] : []),
  ];
  const checkHost = createHostCheck({
    names: config.allowedHosts,
    loopbackOnly: services.embedded.length > 0 && isLoopback(config.host),
  });
  const rateLimit = config.rateLimit > 0 ? createRateLimit(config.rateLimit) : undefined;
  const app = answers
    ? underBasePath(
        basePath,
        traced(
          traceApp,
          createApp({
            routes: [
              createOrderRoute(lookup),
              createPage({ lookup, liveFeed: feed !== undefined, trustedProxies }),
              ...(feed ? [createEventsRoute(feed)] : []),
              createSwaggerRoute({ basePath }),
              ...operations,
            ],
            requests,
            rateLimit,
            checkHost,
            trustedProxies,
            log,
          }),
        ),
      )
    : createApp({ routes: operations, checkHost, trustedProxies, log });
  const server = listen(app, config);
  open.defer(server.stop);
  open.defer(() => feed?.close());
  log.info({ url: server.url }, 'listening');
  if (metricsPort !== null) {
    const host = config.metricsHost ?? config.host;
    const address = { port: metricsPort, host, variable: 'METRICS_PORT' };
    // No proxy is in front of this port, so any X-Forwarded-For would be the client's own.
    const metricsApp = createApp({ routes: [metricsRoute], checkHost, trustedProxies: 0, log });
    const own = listen(metricsApp, address);
    open.defer(own.stop);
    log.info({ url: own.url }, 'metrics are served');
  }
  stopping.addEventListener('abort', server.drain);
  if (answers) open.defer(() => drained);
  if (answers && services.embedded.length > 0)
    void welcome({ url: server.url + basePath, services, store, stopping });

  const isFinal = (error: unknown) => /^42/.test(String((error as { code?: unknown }).code));
  const migrating = retry(() => migrateWith(services.databaseUrl, log), { ...forever, isFinal });
  await raceAbort(stopping, migrating);
  postgres.markUp();
  if (answers) log.info({ page: config.publicUrl ?? `${server.url}${basePath}/` }, 'ready');

  if (config.serve.has('consumer')) {
    const stored: Parameters<typeof startConsumerThread>[0]['stored'] = ({ uids, newest }) => {
      lookup.onStored(uids);
      feed?.publish(newest);
    };
    for (let number = 1; number <= config.consumers; number++) {
      consumers.push(
        startConsumerThread({ settings: consumerSettings(config, services, number), stored, log }),
      );
    }
    open.defer(async () => {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
    });
  }
  if (isEmbedded) open.defer(startProducer(services.brokers).stop);

  if (answers) {
    const warm = () => retry(() => warmUp.run(stopping), forever);
    await raceAbort(stopping, keepWarm({ warm, memory, redis }));
  }
};

type Standby = { url: string; connections: number; primary: Store; log: Log; open: AsyncDisposableStack };

const openStandby = ({ url, connections, primary, log, open }: Standby) => {
  const sql = openDatabase({
    url,
    connections,
    name: 'standby',
    silenceTimeoutSeconds: 5,
    severalServers: 'prefer-standby',
  });
  open.defer(() => sql.end({ timeout: 1 }));
  const reads = createStandbyReads({ primary, standby: createStore(sql), log });
  open.defer(reads.close);
  return reads;
};

/** On a connection of its own, as a migration may be silent for long: it waits for another process's, or makes an index. */
const migrateWith = async (url: string, log: Log) => {
  const sql = openDatabase({ url, connections: 1, name: 'migration', silenceTimeoutSeconds: 600 });
  await migrate(sql, log).finally(() => sql.end({ timeout: 1 }));
};

const consumerSettings = (config: Config, services: Services, number: number) => ({
  name: `consumer-${number}`,
  kafka: kafkaAddress(config, services.brokers),
  topic: config.topic,
  deadLetterTopic: config.deadLetterTopic,
  groupId: config.groupId,
  partitions: config.partitions,
  maxBatchBytes: config.maxBatchBytes,
  databaseUrl: services.databaseUrl,
  databasePool: config.databasePool,
  logLevel: config.logLevel,
  tracing: tracingSettings(config, serviceName),
});

const main = async () => {
  let config: Config;
  try {
    config = readConfig(process.env);
  } catch (error) {
    console.error(errorText(error));
    process.exit(2);
  }
  const tracing = await openTracing(tracingSettings(config, serviceName), createLog(config.logLevel, 'main'));
  const log = createLog(config.logLevel, 'main', tracing?.ids);
  const stopping = new AbortController();
  const open = new AsyncDisposableStack();
  open.defer(() => tracing?.close());
  const ended = Promise.withResolvers<{ status: number; delay: number }>();
  const drained = ended.promise.then(({ delay }) => sleep(delay));

  const fail = (error: unknown) => {
    if (stopping.signal.aborted) return;
    console.error(errorText(error));
    ended.resolve({ status: 1, delay: 0 });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(130);
      // SIGINT is a person at a terminal, and no balancer waits to be told.
      const delay = signal === 'SIGTERM' && config.serve.has('http') ? config.stopDelay * 1_000 : 0;
      log.info({ signal, answersForMs: delay }, 'stopping');
      ended.resolve({ status: 0, delay });
    });
  }

  const starting = start({ config, log, tracing, stopping: stopping.signal, drained, open, fail }).catch(
    fail,
  );
  const { status, delay } = await ended.promise;
  stopping.abort();
  // What is just being opened has to be closed too.
  await waitAtMost(
    delay + stopWithin,
    starting.then(() => open.disposeAsync()),
  );
  log.info('stopped');
  process.exit(status);
};

await main();
