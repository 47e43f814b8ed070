import { quantileOf } from '../observability/metrics/quantile.ts';
import { type Tier, type Totals, tiers } from './totals.ts';

/** What the plots show. Rates are per second, durations in seconds, `hits` a share from 0 to 1, `memory` in bytes. */
export const columns = [
  'stored',
  'deadLetters',
  'lag',
  'fromMemory',
  'fromRedis',
  'fromPostgres',
  'hits',
  'memoryMedian',
  'memoryP99',
  'redisMedian',
  'redisP99',
  'postgresMedian',
  'postgresP99',
  'memory',
] as const;
export type Column = (typeof columns)[number];

/** Values of one interval; null where there is none, as a median without lookups. */
export type Sample = { time: number } & Record<Column, number | null>;

const fromTier = { memory: 'fromMemory', redis: 'fromRedis', postgres: 'fromPostgres' } as const;
const median = { memory: 'memoryMedian', redis: 'redisMedian', postgres: 'postgresMedian' } as const;
const p99 = { memory: 'memoryP99', redis: 'redisP99', postgres: 'postgresP99' } as const;

/** What happened between two readings of the counters. */
export const toSample = (before: Totals, now: Totals): Sample => {
  const seconds = Math.max(0.001, (now.time - before.time) / 1_000);
  /** A counter that is lower than before started again, as that of a restarted consumer. */
  const rate = (from: number | undefined, to: number | undefined) =>
    from === undefined || to === undefined || to < from ? null : (to - from) / seconds;
  const lookups = (tier: Tier) => now.lookups[tier] - before.lookups[tier];
  const answered = tiers.reduce((sum, tier) => sum + lookups(tier), 0);
  const sample = {
    time: now.time,
    stored: rate(before.stored, now.stored),
    deadLetters: rate(before.deadLetters, now.deadLetters),
    lag: now.lag ?? null,
    hits: answered === 0 ? null : (lookups('memory') + lookups('redis')) / answered,
    memory: now.memory,
  } as Sample;
  for (const tier of tiers) {
    const counts = now.durations[tier].map((count, at) => count - (before.durations[tier][at] ?? 0));
    sample[fromTier[tier]] = lookups(tier) / seconds;
    sample[median[tier]] = quantileOf(counts, 0.5) ?? null;
    sample[p99[tier]] = quantileOf(counts, 0.99) ?? null;
  }
  return sample;
};

export type Series = { time: number[] } & Record<Column, (number | null)[]>;

/** The last `size` samples, in memory of a fixed size. */
export const createRing = (size: number) => {
  const names = ['time', ...columns] as const;
  const values = new Map(names.map((name) => [name, new Float64Array(size)]));
  let length = 0;
  let next = 0;
  return {
    push(sample: Sample) {
      for (const name of names) (values.get(name) as Float64Array)[next] = sample[name] ?? Number.NaN;
      next = (next + 1) % size;
      length = Math.min(size, length + 1);
    },
    /** Oldest first. */
    read(): Series {
      const read = (name: (typeof names)[number]) => {
        const held = values.get(name) as Float64Array;
        return Array.from({ length }, (_, at) => {
          const value = held[(next - length + at + size) % size] as number;
          // Six digits are more than a plot shows.
          return Number.isNaN(value) ? null : name === 'time' ? value : Number(value.toPrecision(6));
        });
      };
      return Object.fromEntries(names.map((name) => [name, read(name)])) as Series;
    },
  };
};
