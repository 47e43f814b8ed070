import type { Sql } from 'postgres';
import { AggregatorRegistry, type MetricObject, Registry } from 'prom-client';
import type { ConsumerThread } from '../consumer/thread.ts';
import type { Health } from '../http/health.ts';
import { addLookupMetrics, type LookupSources } from './lookups.ts';
import { addProcessMetrics } from './process.ts';
import { createReadings } from './reading.ts';
import { addServiceMetrics } from './services.ts';
import { addThreadMetrics } from './thread.ts';

type Sources = {
  sql: Sql;
  /** Of the pool behind `sql`. */
  connections: number;
  health: () => Promise<Health>;
  consumers: readonly ConsumerThread[];
  /** Absent when this process answers no lookups. */
  lookups: LookupSources | undefined;
};

/**
 * All that Prometheus reads, of this thread and of the consumers'. Nothing is summed up here: what is a thread's own says
 * whose in its label `thread`, so that a thread that starts again at 0 does not look as if all had.
 */
export const createMetrics = ({ sql, connections, health, consumers, lookups }: Sources) => {
  const registry = new Registry();
  const readings = createReadings(registry);
  addProcessMetrics(readings);
  addServiceMetrics(readings, { health, consumers });
  if (lookups) addLookupMetrics(readings, lookups);

  const main = new Registry();
  main.setDefaultLabels({ thread: 'main' });
  const { stop } = addThreadMetrics({ registry: main, sql, connections });

  return {
    async read(): Promise<string> {
      const own = [registry, main].map((one) => one.getMetricsAsJSON() as unknown as Promise<MetricObject[]>);
      const all = await Promise.all([...own, ...consumers.map((consumer) => consumer.metrics())]);
      const counted = lookups ? [lookups.lookup.durations(), ...lookups.requests.metrics()] : [];
      return AggregatorRegistry.aggregate([...all, counted]).metrics();
    },
    stop,
  };
};
