import { createApp } from '../../src/http/app.ts';
import type { Feed } from '../../src/http/feed.ts';
import type { Health } from '../../src/http/health.ts';
import { createHostCheck } from '../../src/http/host.ts';
import type { MiddlewareOptions } from '../../src/http/middleware.ts';
import { createCharge } from '../../src/http/rate-limit.ts';
import { createRequestCounts } from '../../src/http/request-counts.ts';
import { createEventsRoute } from '../../src/http/routes/events.ts';
import { createHealthzRoute } from '../../src/http/routes/healthz.ts';
import { createMetricsRoute } from '../../src/http/routes/metrics.ts';
import { createOrderRoute } from '../../src/http/routes/order.ts';
import { createOrdersRoute } from '../../src/http/routes/orders.ts';
import { createReadyzRoute } from '../../src/http/routes/readyz.ts';
import { createSwaggerRoute } from '../../src/http/routes/swagger.ts';
import { createLookup, type Lookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import type { Log } from '../../src/observability/log.ts';
import { createAssets, createPage } from '../../src/page/handler.tsx';
import { buildOrder } from './build-order.ts';
import { silent } from './database.ts';
import { storeOf } from './lookup-orders.ts';

export const order = buildOrder({ order_uid: 'b563feb7b2b84b6test' });
/** Its path. */
export const path = `/order/${order.order_uid}`;
/** Its document. */
export const json = JSON.stringify(order);

const works = { state: 'works' } as const;
const parts = { postgres: works, redis: works, kafka: works, consumers: works, offsets: works, cache: works };
export const ready = { status: 'ready', parts } as const;

type Parts = Partial<MiddlewareOptions> & {
  lookup?: Lookup;
  feed?: Feed;
  health?: () => Promise<Health>;
  readMetrics?: () => Promise<string>;
  basePath?: string;
};

/** The HTTP part, with every route, on orders in a Map. */
export const openApp = ({ lookup: own, feed, basePath = '', ...parts }: Parts = {}) => {
  const orders = new Map([[order.order_uid, json]]);
  const asked: string[] = [];
  const find = async (uid: string) => {
    asked.push(uid);
    return orders.get(uid);
  };
  const logged: unknown[] = [];
  const log: Log = Object.assign(Object.create(silent), {
    error: (...line: unknown[]) => logged.push(line),
  });
  const lookup =
    own ?? createLookup({ memory: createMemoryCache(100), redis: undefined, store: storeOf(find) });
  const {
    health = async () => ready,
    readMetrics = async () => 'orders_lookups_total 1\n',
    trustedProxies = 0,
    ...options
  } = parts;
  const charge = createCharge(options.rateLimit);
  const app = createApp({
    routes: [
      createOrderRoute(lookup),
      createOrdersRoute({ lookup, charge }),
      createPage({ lookup, assets: createAssets(feed !== undefined), trustedProxies, charge }),
      ...(feed ? [createEventsRoute(feed)] : []),
      createSwaggerRoute({ basePath }),
      createHealthzRoute(),
      createReadyzRoute(health),
      createMetricsRoute({ read: readMetrics, token: null }),
    ],
    requests: createRequestCounts(),
    checkHost: createHostCheck({ names: null, loopbackOnly: false }),
    trustedProxies,
    log,
    ...options,
  });
  const get = async (url: string, init: RequestInit = {}) =>
    app.fetch(new Request(`http://localhost${url}`, init));
  return { app, orders, asked, logged, get };
};

/** PostgreSQL does not answer. */
export const unavailable: Lookup = {
  find: async () => {
    throw new Unavailable('select document from orders failed', { cause: new Error('password=secret') });
  },
  findAll: async (uids) => uids.map(() => new Unavailable('select document from orders failed')),
  findOtherCases: () => Promise.reject(new Unavailable('select order_uid from orders failed')),
  lastHitMs: () => undefined,
};
