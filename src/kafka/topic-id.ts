import type Decoder from 'kafkajs/src/protocol/decoder.js';
import { createErrorFromCode } from 'kafkajs/src/protocol/error.js';
import { type Cluster, type Request, request } from './kafkajs-cluster.ts';

const metadata = 3;
/** The first one with topic ids: that of Kafka 2.8. It is flexible. */
const version = 10;
const uuidBytes = 16;
/** The id of a topic of a cluster that had no ids yet. */
const noId = '0'.repeat(2 * uuidBytes);

const metadataOf = (topic: string): Request<{ errorCode: number; id: string | undefined }> => ({
  name: 'Metadata',
  apiKey: metadata,
  version,
  encode(encoder) {
    const writeNoTags = () => encoder.writeUVarInt(0);
    writeNoTags();
    encoder.writeUVarInt(1 + 1).writeBufferInternal(Buffer.alloc(uuidBytes));
    encoder.writeUVarIntString(topic);
    writeNoTags();
    // Neither create the topic, nor include the authorized operations of cluster and topic.
    encoder.writeBoolean(false).writeBoolean(false).writeBoolean(false);
    return writeNoTags();
  },
  decode(decoder) {
    skipTags(decoder);
    decoder.readInt32();
    decoder.readUVarIntArray(() => {
      decoder.readInt32();
      decoder.readUVarIntString();
      decoder.readInt32();
      decoder.readUVarIntString();
      skipTags(decoder);
    });
    decoder.readUVarIntString();
    decoder.readInt32();
    if (decoder.readUVarInt() !== 1 + 1) throw new Error('Kafka answered for other topics than asked');
    const errorCode = decoder.readInt16();
    decoder.readUVarIntString();
    const hex = decoder.readBytes(uuidBytes).toString('hex');
    // The partitions follow.
    return { errorCode, id: hex === noId ? undefined : toUuid(hex) };
  },
});

/** kafkajs's own `readTaggedFields` takes their lengths for those of compact bytes, which are one more. */
const skipTags = (decoder: Decoder) => {
  for (let left = decoder.readUVarInt(); left > 0; left--) {
    decoder.readUVarInt();
    decoder.forward(decoder.readUVarInt());
  }
};

const toUuid = (hex: string) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/**
 * The topic's id, which a topic that is created again does not get again; undefined if the cluster gives none. Rejects if Kafka does
 * not know the topic.
 */
export const readTopicId = async (cluster: Cluster, topic: string): Promise<string | undefined> => {
  const answer = await cluster.brokerPool.withBroker(async ({ broker }) => ({
    found: await request(broker, metadataOf(topic)),
  }));
  if (!answer) throw new Error('no Kafka broker answers');
  if (answer.found && answer.found.errorCode !== 0) throw createErrorFromCode(answer.found.errorCode);
  return answer.found?.id;
};
