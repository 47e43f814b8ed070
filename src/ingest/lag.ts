import type { Admin, Kafka } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';
import type { Group } from '../postgres/offsets.ts';

const intervalMs = 5_000;

export type KnownOffsets = {
  /** The offset after the partition's last message. */
  end: bigint;
  /** The group's committed offset, or the partition's first one if the group has none; undefined if it is not known. */
  committed: bigint | undefined;
};

type Options = {
  kafka: Kafka;
  group: Group;
  polled: (partition: number, offsets: KnownOffsets) => void;
  log: Log;
};

/**
 * Polls Kafka every 5 s for the end offsets of the topic's partitions, and for the group's committed offsets. Fetches bring end
 * offsets too, but a consumer that waits for PostgreSQL does not fetch, and its lag matters most then; and no member fetches a
 * partition that has just been added.
 */
export const pollEndOffsets = ({ kafka, group: { groupId, topic }, polled, log }: Options) => {
  const stopping = new AbortController();
  const admin = kafka.admin();
  const poll = async () => {
    await admin.connect();
    const ends = await admin.fetchTopicOffsets(topic);
    const committed = await committedOffsets(admin, groupId, topic).catch((error) => {
      log.debug({ error }, 'committed offsets not known');
      return undefined;
    });
    for (const { partition, low, high } of ends)
      polled(partition, {
        end: BigInt(high),
        committed: committed && (committed.get(partition) ?? BigInt(low)),
      });
  };
  const run = async () => {
    for (;;) {
      await sleep(intervalMs, stopping.signal);
      if (stopping.signal.aborted) break;
      await poll().catch((error) => log.debug({ error }, 'end offsets not known'));
    }
    await admin.disconnect().catch((error) => log.debug({ error }, 'not disconnected'));
  };
  void run();
  return { stop: () => stopping.abort() };
};

/** Without the partitions in which the group has committed nothing. */
const committedOffsets = async (admin: Admin, groupId: string, topic: string) => {
  const [group] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const offsets = group?.partitions.filter(({ offset }) => Number(offset) >= 0) ?? [];
  return new Map(offsets.map(({ partition, offset }) => [partition, BigInt(offset)]));
};
