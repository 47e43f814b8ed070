import type { MetricObject } from 'prom-client';
import type { ConsumerThread } from '../ingest/thread.ts';
import type { LookupCounts } from '../lookup/lookup.ts';
import type { LookupSources } from '../lookup/metrics.ts';

export const tiers = ['memory', 'redis', 'postgres'] as const;
export type Tier = (typeof tiers)[number];

/** The counters of `/metrics` at one moment. Of consumers undefined where this process has none, or they do not answer. */
export type Totals = {
  /** In ms since 1970. */
  time: number;
  stored: number | undefined;
  deadLetters: number | undefined;
  /** In messages. */
  lag: number | undefined;
  lookups: LookupCounts;
  /** By tier, the counts of each bucket of durations. */
  durations: Record<Tier, number[]>;
  /** Resident memory, in bytes. */
  memory: number;
};

type Sources = { lookup: LookupSources['lookup']; consumers: readonly Pick<ConsumerThread, 'metrics'>[] };

const sumOf = (metrics: readonly MetricObject[], name: string): number | undefined => {
  const found = metrics.filter((metric) => metric.name === name) as { values?: { value: number }[] }[];
  if (found.length === 0) return undefined;
  return found.flatMap(({ values = [] }) => values).reduce((sum, { value }) => sum + value, 0);
};

/** Reads the counters. Lookups count in plain numbers, so this costs them nothing. */
export const createReadTotals =
  ({ lookup, consumers }: Sources) =>
  async (): Promise<Totals> => {
    const metrics = (await Promise.all(consumers.map((consumer) => consumer.metrics()))).flat();
    const durations = lookup.durations();
    return {
      time: Date.now(),
      stored: sumOf(metrics, 'orders_stored_total'),
      deadLetters: sumOf(metrics, 'orders_dead_letters_total'),
      lag: sumOf(metrics, 'orders_consumer_lag_messages'),
      lookups: { ...lookup.counts() },
      durations: {
        memory: [...durations.memory.counts()],
        redis: [...durations.redis.counts()],
        postgres: [...durations.postgres.counts()],
      },
      memory: process.memoryUsage.rss(),
    };
  };
