/** Why an offset range was not taken. */
export const fenceReasons = ['gap', 'repeated', 'claim'] as const;

/**
 * A batch that would have been stored where it must not be. `gap`: something before it is missing; `repeated`: it begins before
 * what was read already; `claim`: another member has the partition now, or the stored offset was moved from outside.
 */
export type Fence = {
  reason: (typeof fenceReasons)[number];
  partition: number;
  /** The offset range that was refused; absent when a partition was lost while nothing of it was in flight. */
  from?: bigint | undefined;
  to?: bigint | undefined;
  /** Where it had to begin; of a `claim` the stored offset as it is now. */
  expected: bigint | undefined;
};

/** Which errors are fences; kafkajs must never see one, as it would retry. */
const fences = new WeakMap<Error, Fence>();

export const createFenceError = (fence: Fence): Error => {
  const error = new Error(`partition ${fence.partition} was fenced off (${fence.reason})`);
  fences.set(error, fence);
  return error;
};

export const fenceOf = (error: unknown): Fence | undefined =>
  error instanceof Error ? fences.get(error) : undefined;
