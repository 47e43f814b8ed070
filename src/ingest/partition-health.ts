import type { PartitionResult } from '../kafka/fetch-result.ts';
import { reasonOf } from '../observability/error-reason.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';

/** How long a partition may bring nothing, or its leader may be looked for, before that counts as a failure. */
const toleranceMs = 5_000;
/** How many partitions a reason names. */
const maxNamed = 10;

/** The steps towards messages: a leader, the offset at which reading begins, and fetches. */
const steps = ['leader', 'start', 'fetch'] as const;
type Step = (typeof steps)[number];

type Failure = { step: Step; reason: string; since: number; logged: Set<string> };

export const noLeader = Object.assign(new Error('the partition has no leader'), {
  type: 'LEADER_NOT_AVAILABLE',
});

/** Kafka answers so if the size of a batch is damaged on its disk. */
const publicReason = 'Kafka returns no messages, though there are more';
const noMessages = Object.assign(new Error(publicReason), { publicReason });

/** Follows which partitions of this member cannot be read, and why. The others are read meanwhile. */
export const createPartitionHealth = (topic: string, log: Log, changed: () => void) => {
  const failures = new Map<number, Failure>();
  let own: ReadonlySet<number> = new Set();
  /** The times of the first and the last of several fetches in a row that brought nothing though there was something. */
  const emptyFetches = new Map<number, { since: number; last: number }>();

  const secondsOf = ({ since }: Failure) => (performance.now() - since) / 1000;

  const end = (partition: number, failure: Failure) => {
    failures.delete(partition);
    log.info(
      { topic, partition, failedForSeconds: Math.round(secondsOf(failure)) },
      'the partition can be read again',
    );
    changed();
  };

  const markDown = (step: Step, partition: number, error: unknown) => {
    if (!own.has(partition)) return;
    const reason = reasonOf(error);
    const known = failures.get(partition);
    const failure = known ?? { step, reason, since: performance.now(), logged: new Set<string>() };
    const isNew = known?.reason !== reason;
    Object.assign(failure, { step, reason });
    failures.set(partition, failure);
    if (!failure.logged.has(reason))
      log.warn(
        { topic, partition, reason, error: errorText(error) },
        'a partition cannot be read; trying again until it can',
      );
    failure.logged.add(reason);
    if (isNew) changed();
  };

  const markUp = (step: Step, partition: number) => {
    const failure = failures.get(partition);
    if (failure && steps.indexOf(failure.step) <= steps.indexOf(step)) end(partition, failure);
  };

  return {
    /** After a rebalance. The partitions of other members are theirs to follow. */
    assigned(partitions: readonly number[]) {
      own = new Set(partitions);
      emptyFetches.clear();
      const left = [...failures.keys()].filter((partition) => !own.has(partition));
      for (const partition of left) failures.delete(partition);
      if (left.length > 0) changed();
    },
    markDown,
    /** Ends a failure of this step, or of one before. */
    markUp,
    /** `isFull`: Kafka may have had no room for messages of every partition. */
    fetched(partition: number, result: PartitionResult, isFull: boolean) {
      const { error, isRecovered, messages, fetchedOffset, readableEnd } = result;
      const isEmpty = messages === 0 && BigInt(fetchedOffset) < BigInt(readableEnd);
      if (error === null && isEmpty && isFull) return;
      if (error === null && !isEmpty) {
        emptyFetches.delete(partition);
        markUp('fetch', partition);
        return;
      }
      const now = performance.now();
      const known = emptyFetches.get(partition);
      // Fetching may have waited for PostgreSQL meanwhile.
      const since = known && now - known.last < toleranceMs ? known.since : now;
      emptyFetches.set(partition, { since, last: now });
      const isAtOnce = error !== null && !isRecovered;
      if (isAtOnce || now - since >= toleranceMs) markDown('fetch', partition, error ?? noMessages);
    },
    /** Which partitions cannot be read and why, in one line; undefined while all can. */
    reason(): string | undefined {
      const byReason = Map.groupBy(
        [...failures.keys()].sort((one, other) => one - other),
        (partition) => (failures.get(partition) as Failure).reason,
      );
      const parts = [...byReason].map(([reason, partitions]) => {
        const named = partitions.slice(0, maxNamed).join(', ');
        const more = partitions.length > maxNamed ? ` and ${partitions.length - maxNamed} more` : '';
        return `partition${partitions.length > 1 ? 's' : ''} ${named}${more} cannot be read: ${reason}`;
      });
      return parts.length > 0 ? parts.join('; ') : undefined;
    },
    /** For how long each partition cannot be read, in s, without those that can. */
    failingSeconds: () =>
      new Map([...failures].map(([partition, failure]) => [partition, secondsOf(failure)])),
  };
};

export type PartitionHealth = ReturnType<typeof createPartitionHealth>;
