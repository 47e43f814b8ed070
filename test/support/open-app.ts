import { createApp } from '../../src/http/app.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createMetricsRoute } from '../../src/http/metrics-route.ts';
import { createRequestCounts } from '../../src/http/request-counts.ts';
import { createLookup, type Lookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import type { Log } from '../../src/observability/log.ts';
import { createPage } from '../../src/page/handler.tsx';
import { buildOrder } from './build-order.ts';
import { silent } from './database.ts';

export const order = buildOrder({ order_uid: 'b563feb7b2b84b6test' });
/** Where it is. */
export const path = `/order/${order.order_uid}`;
/** What is answered there. */
export const json = JSON.stringify(order);

const works = { state: 'works' } as const;
const parts = { postgres: works, redis: works, kafka: works, consumers: works, offsets: works, cache: works };
export const ready = { status: 'ready', parts } as const;

/** The HTTP part on orders in a Map. */
export const openApp = (parts: Partial<Parameters<typeof createApp>[0]> = {}) => {
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
  const {
    lookup = createLookup({ memory: createMemoryCache(100), redis: undefined, store: { find } }),
    ...others
  } = parts;
  const app = createApp({
    lookup,
    page: createPage({
      lookup,
      liveFeed: parts.feed !== undefined,
      trustedProxies: parts.trustedProxies ?? 0,
    }),
    health: async () => ready,
    metrics: createMetricsRoute({ read: async () => 'orders_lookups_total 1\n', token: null }),
    requests: createRequestCounts(),
    feed: undefined,
    checkHost: createHostCheck({ names: null, loopbackOnly: false }),
    rateLimit: undefined,
    trustedProxies: 0,
    log,
    ...others,
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
  lastHitMs: () => undefined,
};
