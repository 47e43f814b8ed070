import type { Feed } from '../http/feed.ts';
import { createForgetting } from '../lookup/forgetting.ts';
import { createLookup } from '../lookup/lookup.ts';
import { createMemoryCache } from '../lookup/memory-cache.ts';
import { createRedisCache } from '../lookup/redis-cache.ts';
import { openStandby } from '../lookup/standby.ts';
import { traceRedis } from '../lookup/traced-redis.ts';
import { createWarmUp } from '../lookup/warm-up.ts';
import { watchWarmUp } from '../lookup/warm-up-watch.ts';
import { createServiceState } from '../observability/service-state.ts';
import { tracedBy } from '../observability/tracing/tracing.ts';
import { openDatabase } from '../postgres/pool.ts';
import { createStore } from '../postgres/store.ts';
import { traceStore } from '../postgres/traced-store.ts';
import type { Context } from './context.ts';

/** Connects to PostgreSQL, for lookups and health. */
export const openPostgres = ({ config, log, tracing, open }: Context, url: string) => {
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

export type Postgres = ReturnType<typeof openPostgres>;

/** Of the places that forget erased orders. */
const redisPlace = 'redis';

/** The lookup with its caches, the standby, the warm-up, and what removes erased orders. Nothing of it runs yet. */
export const openLookup = (
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

export type OpenLookup = ReturnType<typeof openLookup>;
