import { retry } from '../async/retry.ts';
import type { EpochEnd } from '../kafka/epoch-ends.ts';
import type { KafkaOffsets } from './kafka-offsets.ts';
import type { PartitionHealth } from './partition-health.ts';

/** Where a log may differ from what was read of it. */
export type Divergence = {
  at: bigint;
  /** The log of the leader with this epoch had all records before; undefined if it is not known. */
  leaderEpoch: number | undefined;
};

/**
 * Whether the log still has what was read up to `offset`, given where the leader epoch of the last record ends in it; `epochEnd` is
 * undefined if it has no such epoch. Kafka's own consumers decide in the same way. After the election of an out-of-date replica, or
 * when a broker has lost the last writes to its disk, that end is before `offset`, and the log goes on with another epoch.
 */
export const divergenceOf = (
  offset: bigint,
  epochEnd: EpochEnd | undefined,
  low: bigint,
): Divergence | undefined => {
  if (!epochEnd) return { at: low, leaderEpoch: undefined };
  return epochEnd.end < offset ? { at: epochEnd.end, leaderEpoch: epochEnd.leaderEpoch } : undefined;
};

type Options = {
  kafkaOffsets: Pick<KafkaOffsets, 'leaders' | 'epochEnds'>;
  health: Pick<PartitionHealth, 'markDown' | 'markUp'>;
};

/**
 * Whether Kafka's log still has all records before `offset`, which the log of the leader with this epoch had. Waits without end for
 * Kafka. Rejects when the signal is aborted.
 */
export type LogCheck = (
  read: { partition: number; leaderEpoch: number; offset: bigint },
  signal: AbortSignal,
) => Promise<'intact' | 'diverged' | 'unknown-epoch'>;

/** The check of all members of a consumer, one after another. */
export const createLogCheck = ({ kafkaOffsets, health }: Options): LogCheck => {
  const found = new Set<string>();
  return async ({ partition, leaderEpoch, offset }, signal) => {
    const ask = async () => {
      await kafkaOffsets.leaders();
      return kafkaOffsets.epochEnds([{ partition, leaderEpoch }]);
    };
    const failed = (error: unknown) => health.markDown('start', partition, error);
    const ends = await retry(ask, { signal, failed });
    health.markUp('start', partition);
    if (!ends.has(partition)) return 'intact';
    const epochEnd = ends.get(partition);
    if (!epochEnd) return 'unknown-epoch';
    if (epochEnd.end >= offset) return 'intact';
    // Found again after a member has begun where the log differs: then the log itself has a record of this epoch after the end of it.
    // No checksum covers a batch's epoch, and a damaged one must not make members begin again without end.
    const name = [partition, leaderEpoch, epochEnd.end, offset].join('/');
    if (found.has(name)) return 'unknown-epoch';
    found.add(name);
    return 'diverged';
  };
};
