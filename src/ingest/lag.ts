import type { Admin, Kafka } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';

const every = 5_000;

/** Of a partition: where its messages end, and up to where the group has committed, or where they begin if it never has. */
export type KnownOffsets = { end: bigint; committed: bigint | undefined };

type Options = {
  kafka: Kafka;
  groupId: string;
  topic: string;
  known: (partition: number, offsets: KnownOffsets) => void;
  log: Log;
};

/**
 * Asks Kafka every 5 s where the topic's partitions end, and what is committed. Fetches tell it too, but a consumer that
 * waits for PostgreSQL does not fetch, and it is then that its lag matters; and nobody fetches a partition that has just
 * been added.
 */
export const watchOffsets = ({ kafka, groupId, topic, known, log }: Options) => {
  const over = new AbortController();
  const admin = kafka.admin();
  const watch = async () => {
    for (;;) {
      await sleep(every, over.signal);
      if (over.signal.aborted) break;
      try {
        await admin.connect();
        const ends = await admin.fetchTopicOffsets(topic);
        const committed = await committedOf(admin, groupId, topic).catch((error) => {
          log.debug({ error }, 'committed offsets not known');
          return undefined;
        });
        for (const { partition, low, high } of ends)
          known(partition, {
            end: BigInt(high),
            committed: committed && (committed.get(partition) ?? BigInt(low)),
          });
      } catch (error) {
        log.debug({ error }, 'ends of the partitions not known');
      }
    }
    await admin.disconnect().catch((error) => log.debug({ error }, 'not disconnected'));
  };
  void watch();
  return { stop: () => over.abort() };
};

/** Without the partitions of which the group has committed nothing. */
const committedOf = async (admin: Admin, groupId: string, topic: string) => {
  const [group] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const offsets = group?.partitions.filter(({ offset }) => Number(offset) >= 0) ?? [];
  return new Map(offsets.map(({ partition, offset }) => [partition, BigInt(offset)]));
};
