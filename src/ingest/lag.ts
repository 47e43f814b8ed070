import { sleep } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';
import type { KafkaOffsets } from './kafka-offsets.ts';

const intervalMs = 5_000;

export type KnownOffsets = {
  /** The offset after the partition's last message. */
  end: bigint;
  /** The group's committed offset, or the partition's first one if the group has none; undefined if it is not known. */
  committed: bigint | undefined;
};

type Options = {
  kafkaOffsets: Pick<KafkaOffsets, 'leaders' | 'committed' | 'ends'>;
  /** Called with the partitions of the topic that have a leader, and with those that have none. */
  onLeaders: (led: readonly number[], leaderless: readonly number[]) => void;
  polled: (partition: number, offsets: KnownOffsets) => void;
  log: Log;
};

/**
 * Polls Kafka every 5 s for the leaders and end offsets of the topic's partitions, and for the group's committed offsets. Fetches
 * bring end offsets too, but a consumer that waits for PostgreSQL does not fetch, and its lag matters most then; and no member
 * fetches a partition that has just been added. A partition that does not answer keeps the lag that is known.
 */
export const pollEndOffsets = ({ kafkaOffsets, onLeaders, polled, log }: Options) => {
  const stopping = new AbortController();
  const poll = async () => {
    const { groups, leaderless } = await kafkaOffsets.leaders();
    onLeaders(groups.flat(), leaderless);
    const committed = await kafkaOffsets.committed([...groups.flat(), ...leaderless]).catch((error) => {
      log.debug({ error }, 'committed offsets not known');
      return undefined;
    });
    await Promise.all(
      groups.map(async (group) => {
        const { known, failed } = await kafkaOffsets.ends(group);
        for (const [partition, error] of failed) log.debug({ partition, error }, 'end offset not known');
        for (const { partition, low, high } of known)
          polled(partition, { end: high, committed: committed && (committed.get(partition) ?? low) });
      }),
    );
  };
  const run = async () => {
    for (;;) {
      await sleep(intervalMs, stopping.signal);
      if (stopping.signal.aborted) break;
      await poll().catch((error) => log.debug({ error }, 'end offsets not known'));
    }
  };
  void run();
  return { stop: () => stopping.abort() };
};
