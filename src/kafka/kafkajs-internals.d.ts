// The parts of kafkajs 2.2.4 without published types that `record-batches.ts` and `old-message-set.ts` use.

declare module 'kafkajs/src/protocol/decoder.js' {
  export default class Decoder {
    readonly buffer: Buffer;
    constructor(bytes: Buffer);
    readInt32(): number;
    canReadBytes(count: number): boolean;
    readBytes(count: number): Buffer;
  }
}

declare module 'kafkajs/src/protocol/messageSet/decoder.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js';

  type Message = { offset: string; key: Buffer | null; value: Buffer | null; timestamp?: string };
  const decode: (decoder: Decoder, bytes: number) => Promise<Message[]>;
  export default decode;
}

declare module 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js';

  /** Replaces the decoding, if it is set. Added by our patch. */
  const decodeMessages: { decode?: (decoder: Decoder) => Promise<object[]> };
  export default decodeMessages;
}
