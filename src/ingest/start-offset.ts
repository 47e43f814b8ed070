/** The offsets of a partition when an assignment begins; each is that of the next message to read. */
export type PartitionOffsets = {
  /** In PostgreSQL. */
  stored: bigint | undefined;
  /** An operator has skipped everything before it. */
  skippedTo: bigint | undefined;
  /** By the group, in Kafka. */
  committed: bigint | undefined;
  /** The log's first offset, and the one after its last record. */
  low: bigint;
  high: bigint;
  /**
   * Whether the stored offset is of this topic: `other` if it is of an earlier one of the same name, or of another cluster's;
   * `unidentified` if it was stored without an id, by an earlier version; undefined if the cluster gives no ids.
   */
  topic: 'same' | 'other' | 'unidentified' | undefined;
  /**
   * The first offset at which the log may differ from what was read before the stored offset; undefined if it does not differ
   * below that, as far as is known.
   */
  divergedAt: bigint | undefined;
};

/**
 * `new`: the group has read nothing yet. `unknown`: PostgreSQL or Kafka has no offset, or PostgreSQL has a lower
 * one without the topic's id. `recreated`: the topic is another one than
 * that of the stored offset. `diverged`: Kafka has lost records below the stored offset, and has assigned their offsets again, or
 * will. `past-end`: the log ends before the stored offset, so it is one of these, without the ids or epochs that would show which.
 * `database-behind`, `committed-behind`: one offset is behind the other.
 */
export const startReasons = [
  'new',
  'unknown',
  'recreated',
  'diverged',
  'past-end',
  'database-behind',
  'committed-behind',
] as const;

export type StartOffset = {
  start: bigint;
  /** Undefined when the stored and the committed offset are equal. */
  reason: (typeof startReasons)[number] | undefined;
  /** How many offsets are read again, as one of the two offsets was past them. */
  again: bigint;
  /** How many records Kafka has deleted before the group read them. */
  deleted: bigint;
  /** The committed offset has passed the skip too, which can be forgotten then. */
  isPastSkip: boolean;
};

/**
 * Reading begins at the lower of the stored and the committed offset, as storing an order again changes nothing; where the log
 * diverged from what was read; or at the log's beginning, if one of the offsets is missing or belongs to an earlier topic.
 */
export const startOffset = ({ divergedAt, ...offsets }: PartitionOffsets): StartOffset => {
  const { stored } = offsets;
  if (offsets.topic === 'other') return ofNewTopic(offsets);
  if (divergedAt === undefined || stored === undefined) return ofSameLog(offsets);
  const rest = ofSameLog({ ...offsets, stored: divergedAt, high: highest(offsets.high, divergedAt) });
  return { ...rest, reason: 'diverged', again: highest(stored - rest.start, 0n) };
};

type LogOffsets = Omit<PartitionOffsets, 'divergedAt'>;

/** What was stored, committed and skipped says nothing about the log. Records of it that are gone were never read. */
const ofNewTopic = ({ stored = 0n, skippedTo, low, high }: LogOffsets): StartOffset => {
  const again = highest(lowest(stored, high) - low, 0n);
  return { start: low, reason: 'recreated', again, deleted: low, isPastSkip: skippedTo !== undefined };
};

const ofSameLog = ({ stored, skippedTo, low, high, topic, ...known }: LogOffsets): StartOffset => {
  // Stored past the skip, and no longer known to Kafka: the topic was recreated, and the skip was for the earlier one.
  const isOfEarlierTopic =
    topic !== 'same' &&
    known.committed === undefined &&
    stored !== undefined &&
    stored > (skippedTo ?? stored);
  const isSkipped = skippedTo !== undefined && skippedTo <= high && !isOfEarlierTopic;
  const isPastSkip = skippedTo !== undefined && (!isSkipped || (known.committed ?? -1n) >= skippedTo);
  const committed = isSkipped ? highest(known.committed ?? 0n, skippedTo) : known.committed;
  // Records below the stored offset were read before they were deleted, even if the committed offset is lower.
  const unread = stored ?? committed ?? low;
  const from = (offset: bigint, reason: StartOffset['reason'], done = offset): StartOffset => {
    const start = highest(offset, low);
    const again = highest(lowest(done, high) - start, 0n);
    const deleted = reason === 'past-end' ? 0n : highest(low - unread, 0n);
    return { start, reason, again, deleted, isPastSkip };
  };
  if ((stored ?? committed ?? 0n) > high) return from(low, 'past-end');
  if (stored === undefined && committed === undefined) return from(low, 'new');
  if (stored === undefined || committed === undefined) return from(low, 'unknown', stored ?? committed);
  // A backup of an earlier version may be from before the topic was recreated, which nothing shows.
  if (stored < committed && topic === 'unidentified') return from(low, 'unknown', committed);
  if (stored < committed) return from(stored, 'database-behind', committed);
  return from(committed, stored > committed ? 'committed-behind' : undefined, stored);
};

const lowest = (one: bigint, other: bigint) => (one < other ? one : other);
const highest = (one: bigint, other: bigint) => (one > other ? one : other);
