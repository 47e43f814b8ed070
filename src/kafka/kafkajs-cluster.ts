import type { Kafka } from 'kafkajs';
import Decoder from 'kafkajs/src/protocol/decoder.js';
import Encoder from 'kafkajs/src/protocol/encoder.js';

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

/** A request that kafkajs does not have, in one version of its API. */
export type Request<T> = {
  name: string;
  apiKey: number;
  version: number;
  /** Writes the body. In a flexible version, the tagged fields of the request's header come first. */
  encode(encoder: Encoder): Encoder;
  /** Reads the body. In a flexible version, the tagged fields of the response's header come first. */
  decode(decoder: Decoder): T;
};

type Broker = {
  /** What the broker supports, by API key. */
  versions: Record<number, { minVersion: number; maxVersion: number }>;
  connectionPool: {
    send<T>(request: {
      request: { apiKey: number; apiVersion: number; apiName: string; encode: () => Promise<Encoder> };
      response: { decode: (bytes: Buffer) => Promise<T>; parse: (response: T) => Promise<T> };
    }): Promise<T>;
  };
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
  brokerPool: {
    /** Calls it with one broker after another, until it resolves; null if it resolves with none. */
    withBroker<T>(call: (which: { broker: Broker }) => Promise<T>): Promise<T | null>;
  };
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

/** Sends the request to the broker; undefined if the broker does not support it. */
export const request = async <T>(broker: Broker, sent: Request<T>): Promise<T | undefined> => {
  if (!supports(broker, sent)) return undefined;
  const { apiKey, name: apiName, version: apiVersion } = sent;
  return broker.connectionPool.send<T>({
    request: { apiKey, apiVersion, apiName, encode: async () => sent.encode(new Encoder()) },
    response: { decode: async (bytes) => sent.decode(new Decoder(bytes)), parse: async (answer) => answer },
  });
};

const supports = ({ versions }: Broker, { apiKey, version }: Request<unknown>): boolean => {
  const { minVersion, maxVersion } = versions[apiKey] ?? { minVersion: 0, maxVersion: -1 };
  return minVersion <= version && version <= maxVersion;
};
