import type { StoredOffset } from '../postgres/offsets.ts';
import { type Divergence, divergenceOf } from './divergence.ts';
import type { KafkaOffsets, LogEnds } from './kafka-offsets.ts';
import type { PartitionOffsets } from './start-offset.ts';

type SameTopic = PartitionOffsets['topic'];

/** A log in Kafka, and whether it is still that of the stored offset. */
export type ComparedLog = LogEnds & {
  stored: bigint | undefined;
  skippedTo: bigint | undefined;
  leaderEpoch: number | undefined;
  topic: SameTopic;
  divergence: Divergence | undefined;
};

const nothing = { nextOffset: undefined, skippedTo: undefined, leaderEpoch: undefined, topicId: undefined };

/** `id` is Kafka's, `stored` that of the stored offset. */
export const compareTopics = (id: string | undefined, stored: string | undefined): SameTopic => {
  if (id === undefined) return undefined;
  if (stored === undefined) return 'unidentified';
  return id === stored ? 'same' : 'other';
};

/** Compares the partitions' logs, which are of the topic with this id, with what is stored of them. Rejects with the client's error. */
export const compareLogs = async (
  logs: readonly LogEnds[],
  storedOffsets: ReadonlyMap<number, StoredOffset>,
  topicId: string | undefined,
  kafkaOffsets: Pick<KafkaOffsets, 'epochEnds'>,
): Promise<ComparedLog[]> => {
  const known = logs.map((ends) => {
    const { nextOffset: stored, topicId: storedId, ...offset } = storedOffsets.get(ends.partition) ?? nothing;
    return { ...ends, ...offset, stored, topic: compareTopics(topicId, storedId) };
  });
  const epochs = known.flatMap(({ partition, topic, stored, leaderEpoch }) =>
    topic === 'other' || stored === undefined || leaderEpoch === undefined ? [] : { partition, leaderEpoch },
  );
  const epochEnds = await kafkaOffsets.epochEnds(epochs);
  return known.map((log) => {
    const { partition, stored, low } = log;
    const isAnswered = stored !== undefined && epochEnds.has(partition);
    return {
      ...log,
      divergence: isAnswered ? divergenceOf(stored, epochEnds.get(partition), low) : undefined,
    };
  });
};

/**
 * The leader epoch to go on with: the log of its leader had all records before the start offset. A start offset below the stored one
 * keeps the epoch, as that log had the records before it too.
 */
export const epochOf = ({ topic, leaderEpoch, divergence }: ComparedLog): number | undefined => {
  if (topic === 'other') return undefined;
  return divergence ? divergence.leaderEpoch : leaderEpoch;
};
