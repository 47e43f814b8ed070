import type { Command, Position } from './options.ts';

/** Offsets of a partition. `atTime` is that of the first message at or after the position's time, if it is one. */
export type Partition = {
  partition: number;
  low: bigint;
  high: bigint;
  stored: bigint | undefined;
  atTime?: bigint | undefined;
};

/** A change of a partition's stored offset. */
export type Move = { partition: number; from: bigint; to: bigint };

const offsetOf = (position: Position, { partition, low, high, atTime }: Partition): bigint | undefined => {
  if (position.kind === 'earliest') return low;
  if (position.kind === 'latest') return high;
  return position.kind === 'time' ? atTime : position.offsets.get(partition);
};

/**
 * The moves of a command, in its direction only. Throws an Error of one line for an offset outside of a partition.
 */
export const planMoves = (
  { direction, position }: Pick<Command, 'direction' | 'position'>,
  topic: string,
  partitions: readonly Partition[],
): Move[] => {
  if (position.kind === 'offsets')
    for (const [partition, offset] of position.offsets) {
      const found = partitions.find((one) => one.partition === partition);
      if (!found)
        throw new Error(`${topic} has no partition ${partition}; it has 0 to ${partitions.length - 1}`);
      if (offset > found.high || offset < found.low)
        throw new Error(
          `partition ${partition} of ${topic} has the offsets ${found.low} to ${found.high}, not ${offset}`,
        );
    }
  return partitions.flatMap((one) => {
    const to = offsetOf(position, one);
    const { partition, stored, low } = one;
    if (to === undefined) return [];
    if (direction === 'back')
      return stored !== undefined && to < stored ? [{ partition, from: stored, to }] : [];
    const from = stored ?? low;
    return to > from ? [{ partition, from, to }] : [];
  });
};

/** Offsets moved in total. */
export const distance = (moves: readonly Move[]): bigint =>
  moves.reduce((sum, { from, to }) => sum + (to > from ? to - from : from - to), 0n);
