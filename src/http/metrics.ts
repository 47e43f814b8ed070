import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  type MetricObject,
  Registry,
} from 'prom-client';
import type { OrderCache } from '../cache/cache.ts';
import type { MemoryCache } from '../cache/memory.ts';
import type { ConsumerThread } from '../consumer/thread.ts';
import type { Lookup, LookupCounts } from '../lookup.ts';
import type { Feed } from './feed.ts';

type Sources = {
  lookup: Lookup & { counts(): LookupCounts; queries(): number };
  memory: MemoryCache;
  redis: OrderCache | undefined;
  feed: Feed | undefined;
  consumers: readonly ConsumerThread[];
};

/**
 * All that Prometheus reads, of this thread and of the consumers'. What lookups count they count themselves, in plain
 * numbers, as they are too quick for a library's labels; here it is only read.
 */
export const createMetrics = ({ lookup, memory, redis, feed, consumers }: Sources) => {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Counter({
    name: 'orders_lookups_total',
    help: 'Lookups by the tier that answered; none: no such order, unavailable: it could not be told',
    labelNames: ['answered'],
    registers,
    collect() {
      this.reset();
      for (const [answered, count] of Object.entries(lookup.counts())) this.inc({ answered }, count);
    },
  });
  new Gauge({
    name: 'orders_lookup_queries',
    help: 'Queries of lookups that PostgreSQL has not answered yet',
    registers,
    collect() {
      this.set(lookup.queries());
    },
  });
  new Gauge({
    name: 'orders_cache_entries',
    help: 'Orders in a tier of the cache',
    labelNames: ['tier'],
    registers,
    async collect() {
      this.reset();
      this.set({ tier: 'memory' }, memory.size());
      const size = await redis?.size();
      if (size !== undefined) this.set({ tier: 'redis' }, size);
    },
  });
  new Counter({
    name: 'orders_cache_evictions_total',
    help: 'Orders that left the memory tier because there was no room',
    registers,
    collect() {
      this.reset();
      this.inc(memory.evictions());
    },
  });
  new Gauge({
    name: 'orders_feed_readers',
    help: 'Readers of the live list',
    registers,
    collect() {
      this.set(feed?.readers() ?? 0);
    },
  });

  return async (): Promise<string> => {
    const own = (await registry.getMetricsAsJSON()) as MetricObject[];
    const others = await Promise.all(consumers.map((consumer) => consumer.metrics()));
    return AggregatorRegistry.aggregate([own, ...others]).metrics();
  };
};
