/** What is known of a partition when an assignment begins. Offsets are those of the next message to be read. */
export type Known = {
  /** In PostgreSQL. */
  stored: bigint | undefined;
  /** What lies before was left out by an operator. */
  skippedTo: bigint | undefined;
  /** In Kafka, of the group. */
  committed: bigint | undefined;
  /** The offset of the first record that Kafka still has, and the one after the last. */
  low: bigint;
  high: bigint;
};

/**
 * `new`: the group has read nothing yet. `unknown`: either side does not know how far the group was. `past-end`: the log ends before
 * the stored offset, so the topic was made anew. `database-behind`, `committed-behind`: one side is behind the other.
 */
export const startReasons = ['new', 'unknown', 'past-end', 'database-behind', 'committed-behind'] as const;

export type StartOffset = {
  start: bigint;
  /** Unset when both sides agree. */
  reason: (typeof startReasons)[number] | undefined;
  /** How many offsets are read again: those that one of the sides took for done. */
  again: bigint;
  /** How many records Kafka has deleted that were never read. */
  deleted: bigint;
  /** Kafka has noticed the skip as well, so it need not be remembered. */
  isPastSkip: boolean;
};

/**
 * Where to begin: at the lower of the stored and the committed offset, as whatever is read twice changes nothing; and at the
 * beginning of the log if one of them is missing, or is of another log.
 */
export const startOffset = ({ stored, skippedTo, low, high, ...known }: Known): StartOffset => {
  const isSkipped = skippedTo !== undefined && skippedTo <= high;
  const isPastSkip = skippedTo !== undefined && (!isSkipped || (known.committed ?? -1n) >= skippedTo);
  const committed = isSkipped ? highest(known.committed ?? 0n, skippedTo) : known.committed;
  /** Records that were deleted below what is stored were read in time, even if Kafka has an older offset. */
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
  if (stored < committed) return from(stored, 'database-behind', committed);
  return from(committed, stored > committed ? 'committed-behind' : undefined, stored);
};

const lowest = (one: bigint, other: bigint) => (one < other ? one : other);
const highest = (one: bigint, other: bigint) => (one > other ? one : other);
