import type { MetricObject } from 'prom-client';
import { type Durations, toHistogram } from '../observability/metrics/durations.ts';
import type { Readings } from '../observability/metrics/reading.ts';
import type { Forgetting } from './forgetting.ts';
import type { LookupCounts, LookupOutcome } from './lookup.ts';
import type { MemoryCache } from './memory-cache.ts';
import type { RedisCache } from './redis-cache.ts';
import type { StandbyReads } from './standby.ts';
import type { WarmUpWatch } from './warm-up-watch.ts';

export type LookupSources = {
  lookup: {
    counts(): LookupCounts;
    durations(): Record<LookupOutcome, Durations>;
    queriesInFlight(): number;
  };
  memory: MemoryCache;
  redis: RedisCache | undefined;
  standby: StandbyReads | undefined;
  warmUp: WarmUpWatch;
  forgetting: Pick<Forgetting, 'removed' | 'behindSeconds'>;
};

/** Not of the registry, as lookups count their durations in plain numbers. */
export const lookupDurations = ({ lookup }: LookupSources): MetricObject =>
  toHistogram(
    'orders_lookup_duration_seconds',
    'Duration of lookups by the tier that answered; none: no such order',
    Object.entries(lookup.durations()).map(([tier, durations]) => [{ tier }, durations] as const),
  );

/** Lookups, both tiers of the cache, the standby and the warm-up. */
export const addLookupMetrics = (
  { gauge, counter }: Readings,
  { lookup, memory, redis, standby, warmUp, forgetting }: LookupSources,
) => {
  counter({
    name: 'orders_lookups_total',
    help: 'Lookups by the tier that answered; none: no such order, unavailable: no answer (503)',
    labels: ['tier'],
    read: () => Object.entries(lookup.counts()).map(([tier, count]) => [{ tier }, count]),
  });
  gauge({
    name: 'orders_lookup_queries_in_flight',
    help: 'Lookup queries in flight to PostgreSQL',
    read: lookup.queriesInFlight,
  });

  if (standby)
    counter({
      name: 'orders_standby_lookups_total',
      help: 'Lookups sent to the standby, by outcome; after any other outcome than found the primary is queried',
      labels: ['outcome'],
      read: () => Object.entries(standby.counts()).map(([outcome, count]) => [{ outcome }, count]),
    });

  const totalLookups = () => Object.values(lookup.counts()).reduce((sum, count) => sum + count, 0);
  const inMemory = [{ tier: 'memory' }] as const;
  const inRedis = [{ tier: 'redis' }] as const;
  counter({
    name: 'orders_cache_hits_total',
    help: 'Cache hits by tier',
    labels: ['tier'],
    read: () => [
      [...inMemory, lookup.counts().memory],
      ...(redis ? [[...inRedis, redis.counts().hits] as const] : []),
    ],
  });
  counter({
    name: 'orders_cache_misses_total',
    help: 'Cache misses by tier',
    labels: ['tier'],
    read: () => [
      [...inMemory, totalLookups() - lookup.counts().memory],
      ...(redis ? [[...inRedis, redis.counts().misses] as const] : []),
    ],
  });
  gauge({
    name: 'orders_cache_entries',
    help: 'Orders in a cache tier; Redis is shared by all replicas',
    labels: ['tier'],
    async read() {
      const size = await redis?.size();
      return [[...inMemory, memory.size()], ...(size === undefined ? [] : [[...inRedis, size] as const])];
    },
  });
  counter({
    name: 'orders_cache_evictions_total',
    help: 'Orders evicted from the memory tier because it was full',
    read: memory.evictions,
  });

  counter({
    name: 'orders_redis_failures_total',
    help: 'Redis commands that failed or timed out: get reads an order, put inserts one',
    labels: ['command'],
    read() {
      if (!redis) return [];
      const { failedReads, failedInserts } = redis.counts();
      return [
        [{ command: 'get' }, failedReads],
        [{ command: 'put' }, failedInserts],
      ];
    },
  });
  gauge({
    name: 'orders_redis_bypassed',
    help: '1 while lookups bypass Redis: it is not connected, or its circuit is open after repeated failures',
    read: () => redis && Number(redis.isBypassed()),
  });

  counter({
    name: 'orders_erased_removed_total',
    help: 'Orders removed from memory, Redis or the live list because PostgreSQL no longer has them: they were erased, or have expired',
    labels: ['place'],
    read: () => forgetting.removed().map(([place, removed]) => [{ place }, removed]),
  });
  gauge({
    name: 'orders_erasures_behind_seconds',
    help: 'How long ago this process last knew that it answers with no erased order; below 1 normally',
    read: forgetting.behindSeconds,
  });

  gauge({
    name: 'orders_warm_up_running',
    help: '1 while the cache is being warmed up',
    read: () => Number(warmUp.isRunning()),
  });
  gauge({
    name: 'orders_warm_up_duration_seconds',
    help: 'How long the last cache warm-up took',
    read: () => warmUp.last()?.seconds,
  });
  gauge({
    name: 'orders_warm_up_entries',
    help: 'Orders that the last cache warm-up loaded',
    read: () => warmUp.last()?.entries,
  });
};
