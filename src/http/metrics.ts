import type { Sql } from 'postgres';
import { AggregatorRegistry, type MetricObject, Registry } from 'prom-client';
import type { ConsumerThread } from '../ingest/thread.ts';
import { addLookupMetrics, type LookupSources, lookupDurations } from '../lookup/metrics.ts';
import { addProcessMetrics } from '../observability/metrics/process.ts';
import { createReadings } from '../observability/metrics/reading.ts';
import { addThreadMetrics } from '../observability/metrics/thread.ts';
import { addPoolMetrics } from '../postgres/pool-metrics.ts';
import { addRetentionMetrics } from '../retention/metrics.ts';
import type { Retention } from '../retention/retention.ts';
import type { Feed } from './feed.ts';
import type { Health } from './health.ts';
import type { RequestCounts } from './request-counts.ts';
import { addServiceMetrics } from './service-metrics.ts';

type Sources = {
  sql: Sql;
  /** Size of the pool behind `sql`. */
  connections: number;
  health: () => Promise<Health>;
  consumers: readonly ConsumerThread[];
  /** Absent when orders are kept for ever. */
  retention?: Retention | undefined;
  /** Absent when this process answers no lookups. */
  lookups: (LookupSources & { requests: RequestCounts; feed: Feed | undefined }) | undefined;
};

/**
 * All metrics, of this thread and of the consumer threads. They are not summed here: a metric of one thread has the label `thread`,
 * so that one that restarts at 0 does not look as if all had.
 */
export const createMetrics = ({ sql, connections, health, consumers, retention, lookups }: Sources) => {
  const registry = new Registry();
  const readings = createReadings(registry);
  addProcessMetrics(readings);
  addServiceMetrics(readings, { health, consumers });
  if (lookups) {
    addLookupMetrics(readings, lookups);
    readings.gauge({
      name: 'orders_feed_subscribers',
      help: 'Subscribers of the live list',
      read: () => lookups.feed?.subscribers() ?? 0,
    });
  }

  if (retention) addRetentionMetrics(readings, retention);

  const main = new Registry();
  main.setDefaultLabels({ thread: 'main' });
  const { stop } = addThreadMetrics(main);
  addPoolMetrics(createReadings(main), sql, connections);

  return {
    async read(): Promise<string> {
      const own = [registry, main].map((one) => one.getMetricsAsJSON() as unknown as Promise<MetricObject[]>);
      const all = await Promise.all([...own, ...consumers.map((consumer) => consumer.metrics())]);
      const counted = lookups ? [lookupDurations(lookups), ...lookups.requests.metrics()] : [];
      return AggregatorRegistry.aggregate([...all, counted]).metrics();
    },
    stop,
  };
};
