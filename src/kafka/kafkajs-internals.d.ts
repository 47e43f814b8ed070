// The parts of kafkajs 2.2.4 without published types that are used here.

declare module 'kafkajs/src/consumer/filterAbortedMessages.js' {
  type Aborted = { producerId: string; firstOffset: string };
  const filterAbortedMessages: <T>(fetched: { messages: T[]; abortedTransactions: Aborted[] }) => T[];
  export default filterAbortedMessages;
}

declare module 'kafkajs/src/protocol/decoder.js' {
  export default class Decoder {
    constructor(bytes: Buffer);
    readInt16(): number;
    readInt32(): number;
    readInt64(): { toString(): string };
    readString(): string | null;
    readBytes(length: number): Buffer;
    readArray<T>(read: () => T): T[];
    /** Compact: the length is a varint, and one more. */
    readUVarIntString(): string | null;
    readUVarIntArray<T>(read: () => T): T[] | null;
    readUVarInt(): number;
    forward(bytes: number): void;
  }
}

declare module 'kafkajs/src/protocol/encoder.js' {
  export default class Encoder {
    writeInt32(value: number): this;
    writeBoolean(value: boolean): this;
    writeString(value: string): this;
    writeBufferInternal(bytes: Buffer): void;
    writeUVarInt(value: number): this;
    writeUVarIntString(value: string): this;
  }
}

declare module 'kafkajs/src/protocol/error.js' {
  export const createErrorFromCode: (code: number) => Error;
}

declare module 'kafkajs/src/protocol/messageSet/decoder.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js';

  type Message = { offset: string; key: Buffer | null; value: Buffer | null; timestamp?: string };
  const decode: (decoder: Decoder, bytes: number) => Promise<Message[]>;
  export default decode;
}

declare module 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js' {
  /** `response` is the same object for all partitions of a response. */
  type Topic = { partitions: { messages: unknown; abortedTransactions?: object[] }[] };
  type Fetch = { response: Topic[]; fetchedOffset: string; highWatermark: string };

  /** Replaces the decoding of what a fetch brought for a partition, if it is set. Added by our patch. */
  const decodeMessages: { decode?: (bytes: Buffer, fetch: Fetch) => Promise<object[]> };
  export default decodeMessages;
}
