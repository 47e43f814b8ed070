import type { Batch as KafkaJSBatch } from 'kafkajs';
import type { Message } from '../kafka/message.ts';

/** A batch is stored in one round trip: it is closed with its 500th message, or once its values have 2 MiB. */
const maxBatchMessages = 500;
const maxBatchBytes = 2_097_152;

export type FetchedBatch = {
  from: bigint;
  to: bigint;
  messages: Message[];
  /** The offset of the last message, which kafkajs has to resolve. */
  lastOffset: string;
};

/** Divides the messages of one fetch. The first batch begins where the fetch did; each other one where the one before it ended. */
export function* batchesOf(fetched: KafkaJSBatch): Generator<FetchedBatch> {
  const { topic, partition } = fetched;
  let messages: Message[] = [];
  let bytes = 0;
  // `fetchedOffset` is added by our patch of kafkajs.
  let from = BigInt((fetched as KafkaJSBatch & { fetchedOffset: string }).fetchedOffset);
  for (const [index, message] of fetched.messages.entries()) {
    messages.push({ ...message, topic, partition });
    bytes += message.value?.length ?? 0;
    const isLast = index === fetched.messages.length - 1;
    if (!isLast && messages.length < maxBatchMessages && bytes < maxBatchBytes) continue;
    // Control records, which kafkajs leaves out, may follow the last message.
    const to = BigInt(isLast ? fetched.lastOffset() : message.offset) + 1n;
    yield { messages, lastOffset: message.offset, from, to };
    messages = [];
    bytes = 0;
    from = to;
  }
}
