import type { Kafka } from 'kafkajs';

export type FetchResponse = {
  /** In ms; newer versions of the request have it in `clientSideThrottleTime` only. */
  throttleTime: number;
  clientSideThrottleTime?: number;
  /** `messages`: in bytes; an empty list if there are none. */
  responses: { partitions: { messages: Buffer | []; highWatermark: string }[] }[];
};

type FetchRequest = {
  isolationLevel: number;
  maxWaitTime: number;
  maxBytes: number;
  topics: {
    topic: string;
    partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
  }[];
};

type Broker = {
  fetch(request: FetchRequest): Promise<FetchResponse>;
  offsetFetch(request: {
    groupId: string;
    topics: { topic: string; partitions: { partition: number }[] }[];
  }): Promise<{ responses: { partitions: PartitionOffset[] }[] }>;
};

type PartitionOffset = { partition: number; offset: string };

/** The part of kafkajs 2.2.4's internal `Cluster` that is used here. */
export type Cluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  removeBroker(address: { host: string | undefined; port: number | undefined }): void;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  findBroker(which: { nodeId: string | undefined }): Promise<Broker>;
  findGroupCoordinator(which: { groupId: string }): Promise<Broker>;
  /** The end offsets of the partitions, or their first ones. Rejects with the first error of a partition. */
  fetchTopicsOffset(
    topics: { topic: string; fromBeginning: boolean; partitions: { partition: number }[] }[],
  ): Promise<{ partitions: PartitionOffset[] }[]>;
};

/**
 * kafkajs' connection to a cluster, which can ask for single partitions, and fetch any offset of any of them. The public clients
 * cannot do that, and `createCluster` is private: it is found by the description of its symbol. The exact version of kafkajs is
 * pinned, and another one without this symbol is an error.
 */
export const clusterOf = (kafka: Kafka): Cluster => {
  const description = 'private:Kafka:createCluster';
  const symbol = Object.getOwnPropertySymbols(kafka).find((one) => one.description === description);
  const members = kafka as unknown as Record<symbol, (options: object) => Cluster>;
  const createCluster = symbol && members[symbol];
  if (!createCluster) throw new Error(`this version of kafkajs has no ${description}; 2.2.4 is required`);
  return createCluster({ allowAutoTopicCreation: false });
};
