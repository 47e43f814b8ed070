import { bounds } from './durations.ts';

/** A tenth of the first bound: where the first bucket begins, as a logarithm has no zero. */
const lowest = (bounds[0] as number) / 10;

/**
 * A quantile of durations, in seconds, from the counts of their buckets: within a bucket they are taken to be spread evenly on a log
 * scale. Of what is beyond the last bound, that bound. Undefined if there are none.
 */
export const quantileOf = (counts: readonly number[], quantile: number): number | undefined => {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const wanted = quantile * total;
  let before = 0;
  for (const [index, count] of counts.entries()) {
    if (count > 0 && before + count >= wanted) {
      const upper = bounds[index];
      if (upper === undefined) break;
      const lower = bounds[index - 1] ?? lowest;
      return lower * (upper / lower) ** ((wanted - before) / count);
    }
    before += count;
  }
  return bounds.at(-1);
};
