/** The program: opens everything, connects the parts, and closes them in reverse order. The consumer threads start in ingest/worker.ts. */

import { hostname } from 'node:os';
import { retry } from './async/retry.ts';
import { createShutdown, type Shutdown } from './async/shutdown.ts';
import { raceAbort } from './async/timeouts.ts';
import { takeNoArguments } from './cli/usage.ts';
import { consumerSettings, serviceName } from './config/consumer-settings.ts';
import { orderRules } from './config/order-rules.ts';
import { type Config, readConfig } from './config/settings.ts';
import { tracingSettings } from './config/tracing-settings.ts';
import { securitySchemes } from './console/contract.ts';
import { openConsole } from './console/open.ts';
import { createLocalOperator, type Operator } from './console/operators.ts';
import { startProducer } from './embedded/producer.ts';
import { checkServices, openServices, type Services } from './embedded/services.ts';
import { welcome } from './embedded/welcome.ts';
import { isLoopback } from './http/address.ts';
import { createApp } from './http/app.ts';
import { underBasePath } from './http/base-path.ts';
import { createFeed, type Feed } from './http/feed.ts';
import { createHealth } from './http/health.ts';
import { createHostCheck } from './http/host.ts';
import { createMetrics } from './http/metrics.ts';
import { createCharge, createRateLimit } from './http/rate-limit.ts';
import { createRequestCounts } from './http/request-counts.ts';
import { createEventsRoute } from './http/routes/events.ts';
import { createHealthzRoute } from './http/routes/healthz.ts';
import { createMetricsRoute } from './http/routes/metrics.ts';
import { createOrderRoute } from './http/routes/order.ts';
import { createOrdersRoute } from './http/routes/orders.ts';
import { createReadyzRoute } from './http/routes/readyz.ts';
import { createSwaggerRoute } from './http/routes/swagger.ts';
import { checkAddress, listen } from './http/server.ts';
import { traceApp } from './http/traced-app.ts';
import { type ConsumerThread, startConsumerThread } from './ingest/thread.ts';
import { createForgetting } from './lookup/forgetting.ts';
import { createLookup } from './lookup/lookup.ts';
import { createMemoryCache } from './lookup/memory-cache.ts';
import { createRedisCache } from './lookup/redis-cache.ts';
import { openStandby } from './lookup/standby.ts';
import { traceRedis } from './lookup/traced-redis.ts';
import { createWarmUp, keepWarm } from './lookup/warm-up.ts';
import { watchWarmUp } from './lookup/warm-up-watch.ts';
import { errorText } from './observability/error-text.ts';
import { createLog, type Log } from './observability/log.ts';
import { createServiceState } from './observability/service-state.ts';
import { openTracing, type Tracing, tracedBy } from './observability/tracing/tracing.ts';
import { createPage } from './page/handler.tsx';
import { isFinalMigrationError, migrateDatabase } from './postgres/migrate.ts';
import { openDatabase } from './postgres/pool.ts';
import { createStore } from './postgres/store.ts';
import { traceStore } from './postgres/traced-store.ts';
import { openRetention } from './retention/open.ts';
import type { Retention } from './retention/retention.ts';

type Context = {
  config: Config;
  log: Log;
  tracing: Tracing | undefined;
  shutdown: Shutdown;
  /** Closes what was opened, the last one first. */
  open: AsyncDisposableStack;
};

const openPostgres = ({ config, log, tracing, open }: Context, url: string) => {
  const sql = openDatabase({
    url,
    connections: config.databasePool,
    name: 'lookup',
    silenceTimeoutSeconds: 5,
  });
  open.defer(() => sql.end({ timeout: 1 }));
  const store = tracedBy(tracing)(traceStore, createStore(sql));
  const state = createServiceState('PostgreSQL', log, {
    probe: () => store.ping().then(state.markUp, state.markDown),
  });
  open.defer(state.close);
  return { sql, store, state };
};

type Postgres = ReturnType<typeof openPostgres>;

/** Of the places that forget erased orders. */
const redisPlace = 'redis';

const openLookup = (
  { config, log, tracing, open }: Context,
  { store, state }: Postgres,
  feed: Feed | undefined,
) => {
  const hasHttp = config.serve.has('http');
  const { cacheLimit: limit, databasePool: connections } = config;
  const standby =
    config.databaseReadUrl && hasHttp
      ? openStandby({ url: config.databaseReadUrl, connections, primary: store, log })
      : undefined;
  open.defer(() => standby?.close());
  const memory = createMemoryCache(limit);
  const redis =
    config.redisUrl && hasHttp
      ? tracedBy(tracing)(traceRedis, createRedisCache({ url: config.redisUrl, limit, log }))
      : undefined;
  open.defer(() => redis?.close());
  let erasures = 0;
  const generation = () => erasures;
  const lookup = createLookup({
    memory,
    redis: redis && {
      ...redis,
      isBypassed: () => redis.isBypassed() || forgetting.isStale(redisPlace),
    },
    generation,
    store: standby ?? store,
    // An answer of the standby says nothing about the primary.
    onSuccess: standby ? undefined : state.markUp,
    onFailure: state.markDown,
  });
  const warmUp = watchWarmUp(
    createWarmUp({
      store: { newest: store.newest, find: (standby ?? store).find },
      caches: redis ? [memory, redis] : [memory],
      limit,
      concurrency: config.warmUpConcurrency,
      generation,
      onMeasured: lookup.seedHitDuration,
      log,
    }),
  );
  const forgetting = createForgetting({
    store,
    places: [
      { name: 'memory', ...memory },
      ...(redis ? [{ name: redisPlace, isShared: true, ...redis }] : []),
      ...(feed ? [{ name: 'feed', ...feed }] : []),
    ],
    standby,
    onErasure() {
      erasures++;
    },
    onFailure: state.markDown,
    log,
  });
  // Not the signal of the shutdown, after which lookups are answered for a while.
  const closing = new AbortController();
  open.defer(() => closing.abort());
  const forget = () => void forgetting.run(closing.signal);
  return { lookup, memory, redis, standby, warmUp, feed, forgetting, forget };
};

type Parts = ReturnType<typeof openLookup> & {
  postgres: Postgres;
  services: Services;
  /** None: orders are kept for ever. */
  retention: Retention | undefined;
  /** None: there is no console. */
  operators: readonly Operator[];
  /** Filled once the database is migrated. */
  consumers: ConsumerThread[];
};

const metricsAddress = ({ host, metricsHost }: Config, port: number) => ({
  port,
  host: metricsHost ?? host,
  variable: 'METRICS_PORT',
  hostVariable: metricsHost === null ? 'HOST' : 'METRICS_HOST',
});

/** Throws an Error of one line for what would stop the start later, before anything is created. */
const checkStart = async (config: Config) => {
  checkServices(config);
  await checkAddress(config);
  if (config.metricsPort !== null) await checkAddress(metricsAddress(config, config.metricsPort));
};

/** Where something is embedded, the console is for this machine, unless operators are configured. */
const operatorsOf = ({ consoleTokens, host }: Config, { embedded }: Services): Operator[] =>
  consoleTokens ?? (embedded.length > 0 && isLoopback(host) ? [createLocalOperator()] : []);

/** Serves HTTP on all ports, and metrics. */
const serveHttp = ({ config, log, tracing, shutdown, open }: Context, parts: Parts) => {
  const { lookup, memory, redis, standby, warmUp, feed, forgetting } = parts;
  const { consumers, postgres, services, operators, retention } = parts;
  const { basePath, metricsPort, trustedProxies } = config;
  const hasHttp = config.serve.has('http');
  const health = createHealth({
    store: postgres.store,
    standby: standby?.reason,
    redis: redis?.reason,
    consumers: config.serve.has('consumer') ? () => consumers.map((consumer) => consumer.state()) : undefined,
    isWarm: hasHttp ? () => warmUp.last() !== undefined : undefined,
    stopping: shutdown.signal,
  });
  const requests = createRequestCounts();
  const metrics = createMetrics({
    sql: postgres.sql,
    connections: config.databasePool,
    health,
    consumers,
    retention,
    lookups: hasHttp ? { lookup, requests, memory, redis, standby, feed, warmUp, forgetting } : undefined,
  });
  open.defer(metrics.stop);
  const metricsRoute = createMetricsRoute({ read: metrics.read, token: config.metricsToken });
  const checkHost = createHostCheck({
    names: config.allowedHosts,
    loopbackOnly: services.embedded.length > 0 && isLoopback(config.host),
  });
  const operations = [
    createHealthzRoute(),
    createReadyzRoute(health),
    ...(metricsPort === null ? [metricsRoute] : []),
  ];
  const { brokers, databaseUrl } = services;
  const console =
    hasHttp && operators.length > 0
      ? openConsole({
          operators,
          config,
          brokers,
          databaseUrl,
          health,
          lookup,
          consumers,
          host: hostname(),
          log,
        })
      : undefined;
  open.defer(() => console?.close());
  const rateLimit = config.rateLimit > 0 ? createRateLimit(config.rateLimit) : undefined;
  const charge = createCharge(rateLimit);
  const createLookupApp = () =>
    createApp({
      routes: [
        createOrderRoute(lookup),
        createOrdersRoute({ lookup, charge }),
        createPage({ lookup, liveFeed: feed !== undefined, trustedProxies, charge }),
        ...(feed ? [createEventsRoute(feed)] : []),
        ...(console ? [console.route] : []),
        createSwaggerRoute({
          basePath,
          rules: orderRules(config),
          securitySchemes: console && securitySchemes,
        }),
        ...operations,
      ],
      requests,
      rateLimit,
      checkHost,
      trustedProxies,
      log,
    });
  const app = hasHttp
    ? underBasePath(basePath, tracedBy(tracing)(traceApp, createLookupApp()))
    : createApp({ routes: operations, checkHost, trustedProxies, log });
  const server = listen(app, config);
  open.defer(server.stop);
  open.defer(() => feed?.close());
  open.defer(() => console?.endStreams());
  log.info({ url: server.url }, 'listening');
  if (metricsPort !== null) {
    // No proxy is in front of this port, so any X-Forwarded-For would be the client's own.
    const metricsApp = createApp({ routes: [metricsRoute], checkHost, trustedProxies: 0, log });
    const metricsServer = listen(metricsApp, metricsAddress(config, metricsPort));
    open.defer(metricsServer.stop);
    log.info({ url: metricsServer.url }, 'metrics are served');
  }
  shutdown.signal.addEventListener('abort', server.drain);
  if (hasHttp) open.defer(() => shutdown.drained);
  return { url: server.url, makeIndexes: console?.makeIndexes };
};

/** Rejects with an Error of one line when the process cannot start. */
const start = async (context: Context) => {
  const { config, log, shutdown, open } = context;
  const hasHttp = config.serve.has('http');
  await checkStart(config);
  const services = await openServices(config, log);
  open.defer(services.stop);
  services.ended.then((error) => error && shutdown.fail(error));
  shutdown.signal.throwIfAborted();

  const postgres = openPostgres(context, services.databaseUrl);
  const feed = hasHttp && (config.liveFeed ?? config.brokers === null) ? createFeed() : undefined;
  const opened = openLookup(context, postgres, feed);
  const retention = openRetention(services.databaseUrl, config, log);
  open.defer(retention.close);
  const consumers: ConsumerThread[] = [];
  const operators = operatorsOf(config, services);
  const { url, makeIndexes } = serveHttp(context, {
    ...opened,
    postgres,
    services,
    retention: retention.retention,
    operators,
    consumers,
  });
  if (hasHttp && services.embedded.length > 0)
    void welcome({
      url: url + config.basePath,
      services,
      store: postgres.store,
      stopping: shutdown.signal,
      consoleToken: operators.find(({ isLocal }) => isLocal)?.token,
    });

  const untilStopped = { signal: shutdown.signal, failed: postgres.state.markDown };
  const migrate = () => migrateDatabase(services.databaseUrl, log);
  await raceAbort(shutdown.signal, retry(migrate, { ...untilStopped, isFinal: isFinalMigrationError }));
  postgres.state.markUp();
  void makeIndexes?.();
  retention.start();
  if (hasHttp) log.info({ page: config.publicUrl ?? `${url}${config.basePath}/` }, 'ready');

  const { lookup, memory, redis, warmUp } = opened;
  if (config.serve.has('consumer')) {
    const stored: Parameters<typeof startConsumerThread>[0]['stored'] = ({ uids, newest }) => {
      lookup.onStored(uids);
      feed?.publish(newest);
    };
    for (let number = 1; number <= config.consumers; number++) {
      const settings = consumerSettings(config, services, number);
      consumers.push(startConsumerThread({ settings, stored, log }));
    }
    open.defer(async () => {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
    });
  }
  if (config.brokers === null) open.defer(startProducer(services.brokers).stop);

  if (hasHttp) {
    opened.forget();
    const warm = () => retry(() => warmUp.run(shutdown.signal), untilStopped);
    await raceAbort(shutdown.signal, keepWarm({ warm, memory, redis }));
  }
};

const readConfigOrExit = (): Config => {
  try {
    return readConfig(process.env);
  } catch (error) {
    console.error(errorText(error));
    process.exit(2);
  }
};

const main = async () => {
  takeNoArguments('Usage: bun start: all settings come from the environment, see docs/configuration.md');
  const config = readConfigOrExit();
  const tracing = await openTracing(tracingSettings(config, serviceName), createLog(config.logLevel, 'main'));
  const log = createLog(config.logLevel, 'main', tracing?.ids);
  const open = new AsyncDisposableStack();
  open.defer(() => tracing?.close());
  const shutdown = createShutdown({
    drainMs: config.serve.has('http') ? config.stopDelay * 1_000 : 0,
    onSignal: (signal, drainMs) => log.info({ signal, drainMs }, 'stopping'),
    onFailure: (error) => console.error(errorText(error)),
  });
  const starting = start({ config, log, tracing, shutdown, open }).catch(shutdown.fail);
  // Wait for the start as well: what it is just opening has to be closed.
  const status = await shutdown.finish(async () => {
    await starting;
    await open.disposeAsync();
  });
  if (status === 0) log.info('stopped');
  process.exit(status);
};

await main();
