import { sleep } from '../async/retry.ts';
import type { Message } from './messages.ts';

/** Limits of a batch. Kafka's default max.message.bytes is 1 MB, and all messages may be for one partition. */
const maxMessages = 1000;
const maxBytes = 800_000;

/** Shortest wait for the rate limit: short enough for a smooth stream, long enough to cost little. */
const minWaitMs = 20;

/**
 * Sends messages in batches, `rate` per second (0: no limit), until they run out or `signal` is aborted. One batch is in flight
 * while the next is generated. Resolves when the last is acknowledged; rejects with the error of `send`.
 */
export const sendPaced = async ({
  messages,
  rate,
  send,
  signal,
}: {
  messages: AsyncIterable<Message> | Iterable<Message>;
  rate: number;
  send: (batch: Message[]) => Promise<void>;
  signal: AbortSignal;
}): Promise<void> => {
  const queue = createQueue(messages);
  const allow = createAllowance(rate);
  let inFlight = Promise.resolve();
  while (!signal.aborted && (await queue.hasMore())) {
    const allowance = await allow(signal);
    const batch = await queue.take(allowance.messages);
    await inFlight;
    if (signal.aborted) return;
    allowance.used(batch.length);
    inFlight = send(batch);
    // It is awaited in the next round; until then a rejection must not count as unhandled.
    inFlight.catch(() => {});
  }
  await inFlight;
};

/** A token bucket of half a second, so that a stall is not followed by a burst. */
const createAllowance = (rate: number) => {
  const capacity = Math.max(1, rate / 2);
  let tokens = 1;
  let at = performance.now();
  return async (signal: AbortSignal) => {
    const used = (count: number) => {
      tokens -= count;
    };
    if (rate === 0) return { messages: maxMessages, used };
    while (!signal.aborted) {
      const now = performance.now();
      tokens = Math.min(capacity, tokens + ((now - at) / 1000) * rate);
      at = now;
      if (tokens >= 1) break;
      await sleep(Math.max(minWaitMs, ((1 - tokens) / rate) * 1000), signal);
    }
    return { messages: Math.floor(tokens), used };
  };
};

const createQueue = (messages: AsyncIterable<Message> | Iterable<Message>) => {
  const iterator =
    Symbol.asyncIterator in messages ? messages[Symbol.asyncIterator]() : messages[Symbol.iterator]();
  let next: Message | undefined;
  const hasMore = async () => {
    next ??= (await iterator.next()).value || undefined;
    return next !== undefined;
  };
  return {
    hasMore,
    /** At most `limit` messages, fewer if they are long, none when they have run out. */
    async take(limit: number): Promise<Message[]> {
      const batch: Message[] = [];
      let bytes = 0;
      while (batch.length < Math.min(limit, maxMessages) && (await hasMore())) {
        const message = next as Message;
        bytes += message.value?.length ?? 0;
        if (batch.length > 0 && bytes > maxBytes) break;
        batch.push(message);
        next = undefined;
      }
      return batch;
    },
  };
};
