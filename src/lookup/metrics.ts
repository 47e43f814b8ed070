import type { MetricObject } from 'prom-client';
import type { Readings } from '../observability/metrics/reading.ts';
import type { Lookup, LookupCounts } from './lookup.ts';
import type { MemoryCache } from './memory-cache.ts';
import type { RedisCache } from './redis-cache.ts';
import type { StandbyReads } from './standby.ts';
import type { WarmUpWatch } from './warm-up-watch.ts';

export type LookupSources = {
  lookup: Lookup & { counts(): LookupCounts; queries(): number; durations(): MetricObject };
  memory: MemoryCache;
  redis: RedisCache | undefined;
  standby: StandbyReads | undefined;
  warmUp: WarmUpWatch;
};

/** Of the half that answers: lookups, both tiers of the cache, the live list. */
export const addLookupMetrics = (
  { gauge, counter }: Readings,
  { lookup, memory, redis, standby, warmUp }: LookupSources,
) => {
  counter({
    name: 'orders_lookups_total',
    help: 'Lookups by the tier that answered; none: no such order, unavailable: it could not be told',
    labels: ['answered'],
    read: () => Object.entries(lookup.counts()).map(([answered, count]) => [{ answered }, count]),
  });
  gauge({
    name: 'orders_lookup_queries_in_flight',
    help: 'Queries of lookups that PostgreSQL has not answered yet',
    read: lookup.queries,
  });

  if (standby)
    counter({
      name: 'orders_standby_lookups_total',
      help: 'Lookups that the standby was asked; absent: the primary was asked then, as it was when the standby failed',
      labels: ['outcome'],
      read: () => Object.entries(standby.counts()).map(([outcome, count]) => [{ outcome }, count]),
    });

  const askedInAll = () => Object.values(lookup.counts()).reduce((sum, count) => sum + count, 0);
  const inMemory = [{ tier: 'memory' }] as const;
  const inRedis = [{ tier: 'redis' }] as const;
  counter({
    name: 'orders_cache_hits_total',
    help: 'Lookups that a tier of the cache was asked for and had',
    labels: ['tier'],
    read: () => [
      [...inMemory, lookup.counts().memory],
      ...(redis ? [[...inRedis, redis.counts().hits] as const] : []),
    ],
  });
  counter({
    name: 'orders_cache_misses_total',
    help: 'Lookups that a tier of the cache was asked for and had not',
    labels: ['tier'],
    read: () => [
      [...inMemory, askedInAll() - lookup.counts().memory],
      ...(redis ? [[...inRedis, redis.counts().misses] as const] : []),
    ],
  });
  gauge({
    name: 'orders_cache_entries',
    help: 'Orders in a tier of the cache; in Redis those of every replica',
    labels: ['tier'],
    async read() {
      const size = await redis?.size();
      return [[...inMemory, memory.size()], ...(size === undefined ? [] : [[...inRedis, size] as const])];
    },
  });
  counter({
    name: 'orders_cache_evictions_total',
    help: 'Orders that left the memory tier because there was no room',
    read: memory.evictions,
  });

  counter({
    name: 'orders_redis_failures_total',
    help: 'Questions that Redis did not answer in time, or refused: get asks for an order, put enters one',
    labels: ['command'],
    read() {
      if (!redis) return [];
      const { failedReads, failedEntries } = redis.counts();
      return [
        [{ command: 'get' }, failedReads],
        [{ command: 'put' }, failedEntries],
      ];
    },
  });
  gauge({
    name: 'orders_redis_left_alone',
    help: '1 while lookups do not ask Redis, as it is not connected or has failed several times in a row',
    read: () => redis && Number(redis.isBypassed()),
  });

  gauge({
    name: 'orders_warm_up_running',
    help: '1 while the cache is being filled',
    read: () => Number(warmUp.isRunning()),
  });
  gauge({
    name: 'orders_warm_up_duration_seconds',
    help: 'How long the last filling of the cache took',
    read: () => warmUp.last()?.seconds,
  });
  gauge({
    name: 'orders_warm_up_entries',
    help: 'Orders that the last filling of the cache entered',
    read: () => warmUp.last()?.entries,
  });
};
