import type { Command, Place } from './options.ts';

/** A partition: its log, the stored offset, and the offset of the first message from the place's instant on, if it is one. */
export type Partition = {
  partition: number;
  low: bigint;
  high: bigint;
  stored: bigint | undefined;
  atTime?: bigint | undefined;
};

/** The stored offset of a partition, and where it is moved to. */
export type Move = { partition: number; from: bigint; to: bigint };

const offsetOf = (place: Place, { partition, low, high, atTime }: Partition): bigint | undefined => {
  if (place.kind === 'earliest') return low;
  if (place.kind === 'latest') return high;
  return place.kind === 'time' ? atTime : place.offsets.get(partition);
};

/**
 * What has to be moved; no partition is moved the other way. Throws an Error of one line for an offset that the topic does not have.
 */
export const planMoves = (
  { direction, place }: Pick<Command, 'direction' | 'place'>,
  topic: string,
  partitions: readonly Partition[],
): Move[] => {
  if (place.kind === 'offsets')
    for (const [partition, offset] of place.offsets) {
      const found = partitions.find((one) => one.partition === partition);
      if (!found)
        throw new Error(`${topic} has no partition ${partition}; it has 0 to ${partitions.length - 1}`);
      if (offset > found.high || offset < found.low)
        throw new Error(
          `partition ${partition} of ${topic} has the offsets ${found.low} to ${found.high}, not ${offset}`,
        );
    }
  return partitions.flatMap((one) => {
    const to = offsetOf(place, one);
    const { partition, stored, low } = one;
    if (to === undefined) return [];
    if (direction === 'back')
      return stored !== undefined && to < stored ? [{ partition, from: stored, to }] : [];
    const from = stored ?? low;
    return to > from ? [{ partition, from, to }] : [];
  });
};

/** How many offsets lie between. */
export const distance = (moves: readonly Move[]): bigint =>
  moves.reduce((sum, { from, to }) => sum + (to > from ? to - from : from - to), 0n);
