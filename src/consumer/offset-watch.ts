import type { Kafka } from 'kafkajs';
import type { Log } from '../log.ts';
import { pause } from '../retry.ts';

const every = 5_000;

type Options = { kafka: Kafka; topic: string; end: (partition: number, offset: bigint) => void; log: Log };

/**
 * Asks Kafka every 5 s where the topic's partitions end. Fetches tell it too, but a consumer that waits for PostgreSQL
 * does not fetch, and it is then that its lag matters.
 */
export const watchOffsets = ({ kafka, topic, end, log }: Options) => {
  const over = new AbortController();
  const admin = kafka.admin();
  const watch = async () => {
    for (;;) {
      await pause(every, over.signal);
      if (over.signal.aborted) break;
      try {
        await admin.connect();
        for (const { partition, high } of await admin.fetchTopicOffsets(topic)) end(partition, BigInt(high));
      } catch (error) {
        log.debug({ error }, 'ends of the partitions not known');
      }
    }
    await admin.disconnect().catch((error) => log.debug({ error }, 'not disconnected'));
  };
  void watch();
  return { stop: () => over.abort() };
};
