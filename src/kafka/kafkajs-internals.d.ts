// The parts of kafkajs 2.2.4 without published types that `record-batches.ts` and `old-message-set.ts` use.

declare module 'kafkajs/src/protocol/decoder.js' {
  export default class Decoder {
    constructor(bytes: Buffer);
  }
}

declare module 'kafkajs/src/protocol/messageSet/decoder.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js';

  type Message = { offset: string; key: Buffer | null; value: Buffer | null; timestamp?: string };
  const decode: (decoder: Decoder, bytes: number) => Promise<Message[]>;
  export default decode;
}

declare module 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js' {
  /** `response` is the same object for all partitions of a response. */
  type Fetch = { response: object; fetchedOffset: string; highWatermark: string };

  /** Replaces the decoding of what a fetch brought for a partition, if it is set. Added by our patch. */
  const decodeMessages: { decode?: (bytes: Buffer, fetch: Fetch) => Promise<object[]> };
  export default decodeMessages;
}
