import type { Kafka, KafkaMessage } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { Unreadable } from '../kafka/record-batches.ts';
import type { RetryKafka } from '../kafka/retry.ts';

/** A stretch of a partition: from the offset `from` on, up to `to`, which is not in it any more. */
export type Stretch = { partition: number; from: bigint; to: bigint };
export type Stored = Pick<KafkaMessage, 'key' | 'value' | 'timestamp' | 'offset'> & {
  headers: NonNullable<KafkaMessage['headers']>;
  unreadable?: Unreadable;
};

/** Read at once, in bytes; a larger batch comes alone. */
const fetchBytes = 1_048_576;
/** Kafka answers at once, as what is asked for is there; but a stretch may be empty. In ms. */
const waitAtMost = 100;
/** Answers without a message, one after another, until a stretch is taken for read. */
const emptyAtMost = 4;
/** Also what a transaction took back, as nobody sends letters in transactions, and none must stay unseen. */
const readUncommitted = 0;

/**
 * Reads topics without a consumer group: so it waits for no rebalance, needs no right to a group, leaves none behind, and
 * a reader that pauses loses no partition. kafkajs has no such consumer; but what all its clients are made of can fetch.
 */
export const createReader = (kafka: Kafka, retryKafka: RetryKafka) => {
  const admin = kafka.admin();
  const cluster = clusterOf(kafka);

  const fetch = async (topic: string, partition: number, offset: bigint) => {
    const [leader] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]));
    try {
      const broker = await cluster.findBroker({ nodeId: leader });
      const wanted = { partition, fetchOffset: String(offset), maxBytes: fetchBytes };
      return await broker.fetch({
        isolationLevel: readUncommitted,
        maxWaitTime: waitAtMost,
        maxBytes: fetchBytes,
        topics: [{ topic, partitions: [wanted] }],
      });
    } catch (error) {
      const { name, host, port } = error as Error & { host?: string; port?: number };
      if (name === 'KafkaJSConnectionClosedError') cluster.removeBroker({ host, port });
      // Another broker may be the leader by now.
      await cluster.refreshMetadata();
      throw error;
    }
  };

  return {
    async connect() {
      await retryKafka(() => admin.connect());
      await retryKafka(() => cluster.connect());
    },
    /** What is in the topic now, by partition; undefined if there is no such topic. */
    async stretches(topic: string): Promise<Stretch[] | undefined> {
      if (!(await retryKafka(() => admin.listTopics())).includes(topic)) return undefined;
      await retryKafka(() => cluster.addTargetTopic(topic));
      const ends = await retryKafka(() => admin.fetchTopicOffsets(topic));
      return ends
        .map(({ partition, low, high }) => ({ partition, from: BigInt(low), to: BigInt(high) }))
        .sort((one, other) => one.partition - other.partition);
    },
    /** The messages of a stretch in order, by the fetch. Offsets may be missing: deleted, compacted, or not for us. */
    async *read(topic: string, { partition, from, to }: Stretch): AsyncGenerator<Stored[]> {
      let next = from;
      let empty = 0;
      while (next < to) {
        const answer = await retryKafka(() => fetch(topic, partition, next));
        const messages = answer.responses[0]?.partitions[0]?.messages ?? [];
        const last = messages.at(-1);
        const throttled = answer.clientSideThrottleTime ?? answer.throttleTime;
        if (last) {
          empty = 0;
          // A batch comes whole, even if it begins before the offset that was asked for.
          const asked = ({ offset, isControlRecord }: Fetched) =>
            !isControlRecord && BigInt(offset) >= next && BigInt(offset) < to;
          const found = messages.filter(asked);
          next = BigInt(last.offset) < next ? next + 1n : BigInt(last.offset) + 1n;
          if (found.length > 0) yield found;
        } else if (throttled > 0) await sleep(throttled);
        // Nothing is left before the end of what was there: compaction took it. A batch with a wrong checksum comes at last.
        else if (++empty > emptyAtMost) return;
      }
    },
    async close() {
      await Promise.all([admin.disconnect(), cluster.disconnect()]);
    },
  };
};

export type Reader = ReturnType<typeof createReader>;

type Fetched = Stored & { isControlRecord: boolean };
type Answer = {
  /** In ms; of newer versions of the request `throttleTime` is always 0. */
  throttleTime: number;
  clientSideThrottleTime?: number;
  responses: { partitions: { messages: Fetched[] }[] }[];
};
type Wanted = { partition: number; fetchOffset: string; maxBytes: number };

/** What kafkajs 2.2.4 makes its producers, consumers and admin clients of, as far as it is used here. */
type Cluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  removeBroker(address: { host: string | undefined; port: number | undefined }): void;
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  findBroker(which: { nodeId: string | undefined }): Promise<{
    fetch(request: {
      isolationLevel: number;
      maxWaitTime: number;
      maxBytes: number;
      topics: { topic: string; partitions: Wanted[] }[];
    }): Promise<Answer>;
  }>;
};

/** It keeps the making of one to itself, under a symbol; this way ours reaches Kafka as the other clients do. */
const clusterOf = (kafka: Kafka): Cluster => {
  const name = 'private:Kafka:createCluster';
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === name);
  const makers = kafka as unknown as Record<symbol, (options: object) => Cluster>;
  const createCluster = symbol && makers[symbol];
  if (!createCluster) throw new Error('kafkajs is not the version that this was written for');
  return createCluster({ allowAutoTopicCreation: false });
};
