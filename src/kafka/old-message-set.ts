import { KafkaJSError } from 'kafkajs';
import Decoder from 'kafkajs/src/protocol/decoder.js';
import decodeMessageSet from 'kafkajs/src/protocol/messageSet/decoder.js';
import { isFaultOfInput, isTooLarge } from './decompress.ts';
import { type Decoded, emptyMessage, objectBytes } from './fetched-message.ts';

/** Decodes a message, or a set of messages, in a format from before Kafka 0.11, which brokers keep as it was sent. */
export const decodeOldSet = async (bytes: Buffer): Promise<Decoded> => {
  const offset = String(bytes.readBigInt64BE(0));
  const batchContext = { producerId: '-1', inTransaction: false };
  const rest = { ...emptyMessage, isControlRecord: false, batchContext };
  try {
    const messages = await decodeMessageSet(new Decoder(bytes), bytes.length);
    // An empty set would be skipped in silence.
    if (messages.length === 0) throw new RangeError('it holds no message');
    return {
      messages: messages.map((message) => ({ timestamp: '-1', ...rest, ...message })),
      cost: bytes.length + objectBytes * messages.length,
    };
  } catch (error) {
    if (!isFaultOfInput(error) && !isFaultOfDecoding(error)) throw error;
    const reason = `a message set at offset ${offset} cannot be read: ${(error as Error).message}`;
    const unreadable = { reason, firstOffset: offset, lastOffset: offset, records: 1 };
    return {
      messages: [{ ...rest, offset, timestamp: '-1', unreadable }],
      cost: bytes.length,
      isOverLimit: isTooLarge(error),
    };
  }
};

/** kafkajs reads past the end of a damaged message, or throws an error of its own. */
const isFaultOfDecoding = (error: unknown) =>
  error instanceof RangeError || error instanceof TypeError || error instanceof KafkaJSError;
