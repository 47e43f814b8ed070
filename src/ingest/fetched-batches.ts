import type { Batch as KafkaJSBatch } from 'kafkajs';
import type { FetchedMessage } from '../kafka/fetched-message.ts';
import type { Message } from '../kafka/message.ts';

/** A batch is stored in one round trip: it is closed with its 500th message, or once its values have 2 MiB. */
const maxBatchMessages = 500;
const maxBatchBytes = 2_097_152;

/** The leader epochs of the first and the last record of an offset range, control records included. */
export type Epochs = { first: number; last: number };

export type FetchedBatch = {
  from: bigint;
  to: bigint;
  messages: Message[];
  /** Of the messages' values. */
  bytes: number;
  /** Undefined if one of the two is not known. */
  epochs: Epochs | undefined;
  /** The offset of the last message, which kafkajs has to resolve. */
  lastOffset: string;
};

type Appended = Pick<FetchedMessage, 'batchContext'>;

export const epochsOf = (first: Appended | undefined, last: Appended | undefined): Epochs | undefined => {
  const [from, to] = [first?.batchContext.leaderEpoch, last?.batchContext.leaderEpoch];
  return from === undefined || to === undefined ? undefined : { first: from, last: to };
};

/** The part of a full batch that these messages are: a batch is full at 1. */
export const fullness = ({ messages, bytes }: Pick<FetchedBatch, 'messages' | 'bytes'>) =>
  Math.max(messages.length / maxBatchMessages, bytes / maxBatchBytes);

type Joinable = Pick<FetchedBatch, 'messages' | 'bytes' | 'epochs'>;

/**
 * Whether both fit into one batch and are of one leader epoch: where a record of another one follows, the log may have to be
 * checked.
 */
export const isAppendable = (batch: Joinable, next: Joinable): boolean => {
  const epochs = [batch.epochs, next.epochs].flatMap((of) => [of?.first, of?.last]);
  return (
    fullness(batch) + fullness(next) <= 1 &&
    epochs.every((epoch) => epoch !== undefined && epoch === epochs[0])
  );
};

/** Appends the batch that follows. */
export const append = (
  batch: Omit<FetchedBatch, 'lastOffset'>,
  { messages, bytes, to }: Omit<FetchedBatch, 'lastOffset'>,
) => {
  batch.messages.push(...messages);
  batch.bytes += bytes;
  batch.to = to;
};

/** What kafkajs's batches have without a published type, and with our patch its events of batches too. */
export type Fetched = {
  /** Where the fetch began, which a compacted log's first record does not show. */
  fetchedOffset: string;
  /** With control records, and those of aborted transactions. */
  rawMessages: FetchedMessage[];
};

/** Divides the messages of one fetch. The first batch begins where the fetch did; each other one where the one before it ended. */
export function* batchesOf(batch: KafkaJSBatch): Generator<FetchedBatch> {
  const fetched = batch as Omit<KafkaJSBatch, 'messages'> & Fetched & { messages: FetchedMessage[] };
  const { topic, partition, rawMessages } = fetched;
  let messages: Message[] = [];
  let bytes = 0;
  let from = BigInt(fetched.fetchedOffset);
  let first = rawMessages[0];
  for (const [index, message] of fetched.messages.entries()) {
    first ??= message;
    messages.push({ ...message, topic, partition });
    bytes += message.value?.length ?? 0;
    const isLast = index === fetched.messages.length - 1;
    if (!isLast && messages.length < maxBatchMessages && bytes < maxBatchBytes) continue;
    // Control records, which kafkajs leaves out, may follow the last message.
    const to = BigInt(isLast ? fetched.lastOffset() : message.offset) + 1n;
    const epochs = epochsOf(first, isLast ? rawMessages.at(-1) : message);
    yield { messages, bytes, lastOffset: message.offset, from, to, epochs };
    messages = [];
    bytes = 0;
    from = to;
    first = undefined;
  }
}
