import type { Kafka } from 'kafkajs';
import type { FetchedMessage } from '../kafka/fetched-message.ts';

/** A message in a topic, or a batch that could not be decoded. */
export type StoredMessage = Pick<
  FetchedMessage,
  'key' | 'value' | 'timestamp' | 'offset' | 'headers' | 'unreadable'
>;

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

/** The part of kafkajs 2.2.4's internal `Cluster` that is used here. */
export type Cluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  removeBroker(address: { host: string | undefined; port: number | undefined }): void;
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  findBroker(which: { nodeId: string | undefined }): Promise<{
    fetch(request: FetchRequest): Promise<FetchResponse>;
  }>;
};

/**
 * kafkajs' connection to a cluster, which can fetch any offset of any partition. The public consumer cannot do that without a
 * consumer group, and `createCluster` is private: it is found by the description of its symbol. The exact version of kafkajs is
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
