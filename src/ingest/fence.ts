export const fenceReasons = ['gap', 'repeated', 'claim', 'recreated', 'diverged'] as const;

/**
 * Why a batch was fenced off, that is, not stored. `gap`: it begins after the offset that is due; `repeated`: it begins before
 * it; `claim`: another member has claimed the partition, or the stored offset was changed from outside; `diverged`: Kafka has lost
 * records before it that were stored. `recreated`: the topic is another one now, so no batch can be trusted.
 */
export type Fence = {
  reason: (typeof fenceReasons)[number];
  /** Absent when it concerns all of them. */
  partition?: number;
  /** The offset range of the batch; absent when the partition was lost while no batch was in flight. */
  from?: bigint | undefined;
  to?: bigint | undefined;
  /** The offset that was due; for `claim` the stored offset as it is now. */
  expected?: bigint | undefined;
};

/** A map, and no class with a property `retriable`: kafkajs must not treat a fence as an error of its own, which it retries. */
const fences = new WeakMap<Error, Fence>();

export const createFenceError = (fence: Fence): Error => {
  const error = new Error(`partition ${fence.partition ?? 'any'} was fenced off (${fence.reason})`);
  fences.set(error, fence);
  return error;
};

export const fenceOf = (error: unknown): Fence | undefined =>
  error instanceof Error ? fences.get(error) : undefined;
