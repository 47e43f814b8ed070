import type {
  Metric,
  MetricObject,
  MetricObjectWithValues,
  MetricValueWithName,
  Registry,
} from 'prom-client';

/** Upper bounds of the buckets, in seconds: from a memory hit to beyond the longest lookup. */
export const bounds = [
  0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];

/**
 * A histogram of durations in plain numbers: observing a lookup with prom-client's histogram costs as much as the lookup. The upper
 * bounds of its buckets are in seconds.
 */
export const createDurations = (upperBounds: readonly number[] = bounds) => {
  const counts = new Array<number>(upperBounds.length + 1).fill(0);
  let sum = 0;
  return {
    observe(seconds: number) {
      let bucket = 0;
      while (bucket < upperBounds.length && seconds > (upperBounds[bucket] as number)) bucket++;
      (counts[bucket] as number)++;
      sum += seconds;
    },
    counts: () => counts,
    sum: () => sum,
    upperBounds,
  };
};

export type Durations = ReturnType<typeof createDurations>;

type Labels = Record<string, string>;
type Histogram = MetricObjectWithValues<MetricValueWithName<string>>;

/** In prom-client's format: buckets are cumulative. */
export const toHistogram = (
  name: string,
  help: string,
  entries: Iterable<readonly [Labels, Durations]>,
): MetricObject => {
  const values = [...entries].flatMap(([labels, durations]) => {
    let count = 0;
    const buckets = durations.counts().map((inBucket, bucket) => {
      count += inBucket;
      return {
        value: count,
        labels: { ...labels, le: durations.upperBounds[bucket] ?? '+Inf' },
        metricName: `${name}_bucket`,
      };
    });
    return [
      ...buckets,
      { value: durations.sum(), labels, metricName: `${name}_sum` },
      { value: count, labels, metricName: `${name}_count` },
    ];
  });
  return { name, help, type: 'histogram', aggregator: 'sum', values } as unknown as Histogram;
};

/** Adds durations without labels to a registry. */
export const registerDurations = (registry: Registry, name: string, help: string, durations: Durations) =>
  registry.registerMetric({
    name,
    get: async () => toHistogram(name, help, [[{}, durations]]),
  } as unknown as Metric);
