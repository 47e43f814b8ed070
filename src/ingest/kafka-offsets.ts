import type { Kafka } from 'kafkajs';
import { type Epoch, type EpochEnds, readEpochEnds } from '../kafka/epoch-ends.ts';
import { type Cluster, clusterOf } from '../kafka/kafkajs-cluster.ts';
import { readTopicId } from '../kafka/topic-id.ts';
import type { Log } from '../observability/log.ts';
import type { Group } from '../postgres/offsets.ts';

/** The log's first offset, and the one after its last record. */
export type LogEnds = { partition: number; low: bigint; high: bigint };

type Leaders = {
  /** The partitions of the topic that have a leader, grouped by it. */
  groups: number[][];
  leaderless: number[];
};

type Ends = {
  known: LogEnds[];
  /** Why the ends of the other partitions are not known. */
  failed: Map<number, unknown>;
};

/**
 * Asks Kafka for the offsets of single partitions, so that one without a leader, or whose leader does not answer, does not hold up
 * the others.
 */
export const createKafkaOffsets = (kafka: Kafka, { groupId, topic }: Group, log: Log) => {
  let cluster: Cluster | undefined;
  const open = () => {
    cluster ??= clusterOf(kafka);
    return cluster;
  };

  const close = async () => {
    const leaving = cluster;
    cluster = undefined;
    await leaving?.disconnect().catch((error) => log.debug({ error }, 'not disconnected'));
  };

  const offsetsOf = async (asked: Cluster, partitions: readonly number[], fromBeginning: boolean) => {
    const topics = [{ topic, fromBeginning, partitions: partitions.map((partition) => ({ partition })) }];
    const [found] = await asked.fetchTopicsOffset(topics);
    return offsetsByPartition(found?.partitions ?? []);
  };

  /** Connects if necessary, and asks. Rejects with the client's error. */
  const ask = async <T>(question: (asked: Cluster) => Promise<T>): Promise<T> => {
    const asked = open();
    try {
      await asked.connect();
      await asked.addTargetTopic(topic);
      return await question(asked);
    } catch (error) {
      // Another broker may answer: the next call connects again.
      if (cluster === asked) void close();
      throw error;
    }
  };

  return {
    /**
     * The topic's id, which a topic that is created again does not get again; undefined if the cluster gives none. Rejects with the
     * client's error, also if there is no topic.
     */
    topicId: (): Promise<string | undefined> => ask((asked) => readTopicId(asked, topic)),
    /** The leaders as Kafka knows them now. Rejects with the client's error. */
    async leaders(): Promise<Leaders> {
      const asked = await ask(async (asked) => {
        await asked.refreshMetadata();
        return asked;
      });
      const byLeader = Map.groupBy(asked.findTopicPartitionMetadata(topic), ({ leader }) => leader);
      const leaderless = idsOf(byLeader.get(-1));
      byLeader.delete(-1);
      return { groups: [...byLeader.values()].map(idsOf), leaderless };
    },
    /** The group's committed offsets, without the partitions in which it has committed nothing. Rejects with the client's error. */
    async committed(partitions: readonly number[]): Promise<Map<number, bigint>> {
      const asked = open();
      await asked.connect();
      const coordinator = await asked.findGroupCoordinator({ groupId });
      const topics = [{ topic, partitions: partitions.map((partition) => ({ partition })) }];
      const { responses } = await coordinator.offsetFetch({ groupId, topics });
      const known = responses.flatMap((response) => response.partitions);
      return offsetsByPartition(known.filter(({ offset }) => Number(offset) >= 0));
    },
    /** The ends of partitions that have the same leader. Never rejects. */
    async ends(partitions: readonly number[]): Promise<Ends> {
      const asked = cluster;
      if (partitions.length === 0) return { known: [], failed: new Map() };
      try {
        if (!asked) throw new Error('the connection was closed');
        const [low, high] = await Promise.all([
          offsetsOf(asked, partitions, true),
          offsetsOf(asked, partitions, false),
        ]);
        const known = partitions.flatMap((partition) => {
          const [first, end] = [low.get(partition), high.get(partition)];
          return first === undefined || end === undefined ? [] : [{ partition, low: first, high: end }];
        });
        return { known, failed: new Map() };
      } catch (error) {
        const isOfPartition = (error as Error).name === 'KafkaJSProtocolError';
        if (partitions.length === 1 || !isOfPartition)
          return { known: [], failed: new Map(partitions.map((partition) => [partition, error])) };
        // kafkajs rejects with the error of one partition in place of what the others answered.
        const each = await Promise.all(partitions.map((partition) => this.ends([partition])));
        return {
          known: each.flatMap(({ known }) => known),
          failed: new Map(each.flatMap(({ failed }) => [...failed])),
        };
      }
    },
    /** Where the logs of these leader epochs end, by the leaders that were looked up last. Rejects with the client's error. */
    async epochEnds(epochs: readonly Epoch[]): Promise<EpochEnds> {
      if (epochs.length === 0) return new Map();
      const asked = open();
      await asked.connect();
      return readEpochEnds(asked, topic, epochs);
    },
    close,
  };
};

const idsOf = (partitions: readonly { partitionId: number }[] = []) =>
  partitions.map(({ partitionId }) => partitionId);

const offsetsByPartition = (offsets: readonly { partition: number; offset: string }[]) =>
  new Map(offsets.map(({ partition, offset }) => [partition, BigInt(offset)]));

export type KafkaOffsets = ReturnType<typeof createKafkaOffsets>;
