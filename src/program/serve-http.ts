import { hostname } from 'node:os';
import { orderRules } from '../config/order-rules.ts';
import type { Config } from '../config/settings.ts';
import { securitySchemes } from '../console/contract.ts';
import { openConsole } from '../console/open.ts';
import type { Operator } from '../console/operators.ts';
import type { Services } from '../embedded/services.ts';
import { isLoopback } from '../http/address.ts';
import { createApp } from '../http/app.ts';
import { underBasePath } from '../http/base-path.ts';
import { createHealth } from '../http/health.ts';
import { createHostCheck } from '../http/host.ts';
import { createMetrics } from '../http/metrics.ts';
import { createCharge, createRateLimit } from '../http/rate-limit.ts';
import { createRequestCounts } from '../http/request-counts.ts';
import { createEventsRoute } from '../http/routes/events.ts';
import { createHealthzRoute } from '../http/routes/healthz.ts';
import { createMetricsRoute } from '../http/routes/metrics.ts';
import { createOrderRoute } from '../http/routes/order.ts';
import { createOrdersRoute } from '../http/routes/orders.ts';
import { createReadyzRoute } from '../http/routes/readyz.ts';
import { createSwaggerRoute } from '../http/routes/swagger.ts';
import { checkAddress, listen } from '../http/server.ts';
import { traceApp } from '../http/traced-app.ts';
import type { ConsumerThread } from '../ingest/thread.ts';
import { tracedBy } from '../observability/tracing/tracing.ts';
import { createAssets, createPage, createTooOftenPage } from '../page/handler.tsx';
import type { Retention } from '../retention/retention.ts';
import type { Context } from './context.ts';
import type { OpenLookup, Postgres } from './open-lookup.ts';

type Parts = OpenLookup & {
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

/** Throws an Error of one line if an address of HTTP or of the metrics cannot be listened on. */
export const checkAddresses = async (config: Config) => {
  await checkAddress(config);
  if (config.metricsPort !== null) await checkAddress(metricsAddress(config, config.metricsPort));
};

/** Serves HTTP on all ports, and metrics. */
export const serveHttp = ({ config, log, tracing, shutdown, open }: Context, parts: Parts) => {
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
  const createLookupApp = () => {
    const rateLimit = config.rateLimit > 0 ? createRateLimit(config.rateLimit) : undefined;
    const assets = createAssets(feed !== undefined);
    const tooOftenPage = createTooOftenPage(assets);
    const charge = createCharge(rateLimit, tooOftenPage);
    return createApp({
      routes: [
        createOrderRoute(lookup),
        createOrdersRoute({ lookup, charge }),
        createPage({ lookup, assets, trustedProxies, charge }),
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
      tooOftenPage,
      checkHost,
      trustedProxies,
      log,
    });
  };
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
