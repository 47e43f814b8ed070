import type { Kafka } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { FetchedMessage } from '../kafka/fetched-message.ts';
import { clusterOf, type FetchResponse } from '../kafka/kafkajs-cluster.ts';
import { decodeFetched } from '../kafka/record-batches.ts';
import type { RetryKafka } from '../kafka/retry.ts';
import type { StoredMessage } from './stored-message.ts';

/** Offsets [from, to) of a partition. */
export type OffsetRange = { partition: number; from: bigint; to: bigint };

/** A batch that is larger comes alone. */
const maxFetchBytes = 1_048_576;
/** Existing messages are returned at once; this is the wait at a range that turns out to be empty. */
const maxFetchWaitMs = 100;
/** Empty responses in a row after which the rest of a range counts as deleted. */
const maxEmptyFetches = 4;
/** Aborted transactions included: no producer of letters uses transactions, and no letter may be hidden. */
const readUncommitted = 0;

/**
 * Reads topics without a consumer group: no rebalances, no right to a group needed, no group left behind, and a slow reader loses
 * no partition.
 */
export const createReader = (kafka: Kafka, retryKafka: RetryKafka) => {
  const admin = kafka.admin();
  const cluster = clusterOf(kafka);

  const fetch = async (topic: string, partition: number, offset: bigint) => {
    const [leader] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]));
    try {
      const broker = await cluster.findBroker({ nodeId: leader });
      return await broker.fetch({
        isolationLevel: readUncommitted,
        maxWaitTime: maxFetchWaitMs,
        maxBytes: maxFetchBytes,
        topics: [
          { topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: maxFetchBytes }] },
        ],
      });
    } catch (error) {
      const { name, host, port } = error as Error & { host?: string; port?: number };
      if (name === 'KafkaJSConnectionClosedError') cluster.removeBroker({ host, port });
      // The leader may have moved to another broker.
      await cluster.refreshMetadata();
      throw error;
    }
  };

  return {
    async connect() {
      await retryKafka(() => admin.connect());
      await retryKafka(() => cluster.connect());
    },
    /** What each partition holds now; undefined if there is no such topic. */
    async offsetRanges(topic: string): Promise<OffsetRange[] | undefined> {
      if (!(await retryKafka(() => admin.listTopics())).includes(topic)) return undefined;
      await retryKafka(() => cluster.addTargetTopic(topic));
      const offsets = await retryKafka(() => admin.fetchTopicOffsets(topic));
      return offsets
        .map(({ partition, low, high }) => ({ partition, from: BigInt(low), to: BigInt(high) }))
        .sort((one, other) => one.partition - other.partition);
    },
    /** The messages of a range in order, one batch per fetch. Deleted and compacted offsets and control records are missing. */
    async *read(topic: string, { partition, from, to }: OffsetRange): AsyncGenerator<StoredMessage[]> {
      let next = from;
      let emptyFetches = 0;
      while (next < to) {
        const response = await retryKafka(() => fetch(topic, partition, next));
        const messages = await messagesOf(response, next);
        const last = messages.at(-1);
        const throttledMs = response.clientSideThrottleTime ?? response.throttleTime;
        if (last) {
          emptyFetches = 0;
          // A batch is returned whole, even if it begins before the requested offset.
          const isInRange = ({ offset, isControlRecord }: FetchedMessage) =>
            !isControlRecord && BigInt(offset) >= next && BigInt(offset) < to;
          const found = messages.filter(isInRange);
          next = BigInt(last.offset) < next ? next + 1n : BigInt(last.offset) + 1n;
          if (found.length > 0) yield found;
        } else if (throttledMs > 0) await sleep(throttledMs);
        // Several in a row: the rest was deleted by compaction. One alone may be a batch with a wrong checksum.
        else if (++emptyFetches > maxEmptyFetches) return;
      }
    },
    async close() {
      await Promise.all([admin.disconnect(), cluster.disconnect()]);
    },
  };
};

export type Reader = ReturnType<typeof createReader>;

/** The messages of a response to a fetch of one partition that began at `from`. */
const messagesOf = async ({ responses }: FetchResponse, from: bigint): Promise<FetchedMessage[]> => {
  const [data] = responses[0]?.partitions ?? [];
  if (!data || !Buffer.isBuffer(data.messages)) return [];
  const { messages, highWatermark } = data;
  return decodeFetched(messages, { response: responses, fetchedOffset: String(from), highWatermark });
};
