import { createErrorFromCode } from 'kafkajs/src/protocol/error.js';
import { type Cluster, type Request, request } from './kafkajs-cluster.ts';

const offsetForLeaderEpoch = 23;
/** That of Kafka 2.3, with which consumers may ask. */
const version = 3;
const consumer = -1;
const anyEpoch = -1;

export type Epoch = { partition: number; leaderEpoch: number };

/** Where the log of a leader epoch ends. */
export type EpochEnd = {
  /** The last epoch in the log that is not after the requested one. */
  leaderEpoch: number;
  /** The offset after its last record. */
  end: bigint;
};

type Answer = { partition: number; errorCode: number; leaderEpoch: number; end: bigint };

const endsOf = (topic: string, epochs: readonly Epoch[]): Request<Answer[]> => ({
  name: 'OffsetForLeaderEpoch',
  apiKey: offsetForLeaderEpoch,
  version,
  encode(encoder) {
    encoder.writeInt32(consumer).writeInt32(1).writeString(topic).writeInt32(epochs.length);
    for (const { partition, leaderEpoch } of epochs)
      encoder.writeInt32(partition).writeInt32(anyEpoch).writeInt32(leaderEpoch);
    return encoder;
  },
  decode(decoder) {
    decoder.readInt32();
    return decoder
      .readArray(() => {
        decoder.readString();
        return decoder.readArray(() => ({
          errorCode: decoder.readInt16(),
          partition: decoder.readInt32(),
          leaderEpoch: decoder.readInt32(),
          end: BigInt(decoder.readInt64().toString()),
        }));
      })
      .flat();
  },
});

/** By partition; one whose leader does not support the request is missing, and undefined if its log has no such epoch. */
export type EpochEnds = Map<number, EpochEnd | undefined>;

/** Asks the partitions' leaders where the logs of epochs end. Rejects if a partition has no leader, or another one by now. */
export const readEpochEnds = async (
  cluster: Cluster,
  topic: string,
  epochs: readonly Epoch[],
): Promise<EpochEnds> => {
  const leaders = Object.entries(
    cluster.findLeaderForPartitions(
      topic,
      epochs.map(({ partition }) => partition),
    ),
  );
  const answers = await Promise.all(
    leaders.map(async ([nodeId, partitions]) => {
      const ofLeader = epochs.filter(({ partition }) => partitions.includes(partition));
      return (await request(await cluster.findBroker({ nodeId }), endsOf(topic, ofLeader))) ?? [];
    }),
  );
  return new Map(
    answers.flat().map(({ partition, errorCode, leaderEpoch, end }) => {
      if (errorCode !== 0) throw createErrorFromCode(errorCode);
      return [partition, end < 0n ? undefined : { leaderEpoch, end }];
    }),
  );
};
