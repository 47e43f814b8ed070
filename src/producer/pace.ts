import { sleep } from '../async/retry.ts';
import type { Message } from './messages.ts';

/** Limits of one batch. Kafka takes a megabyte for a partition unless told otherwise, whatever the messages' keys. */
const messagesAtMost = 1000;
const bytesAtMost = 800_000;

/** Time between batches when a limit holds them back, in ms: often enough to look smooth, seldom enough to cost little. */
const tick = 20;

/**
 * Sends messages in batches, `rate` a second (0: no limit), until they run out or `signal` is aborted. One batch is in
 * flight at a time, while the next is made. Resolves when the last is acknowledged; rejects with the error of `send`.
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
    const allowed = await allow(signal);
    const batch = await queue.take(allowed.messages);
    await inFlight;
    if (signal.aborted) return;
    allowed.used(batch.length);
    inFlight = send(batch);
    // Its error is thrown where it is awaited; until then it must not count as unhandled.
    inFlight.catch(() => {});
  }
  await inFlight;
};

/** A token bucket: it holds half a second's messages, so that a stall is not followed by a flood. */
const createAllowance = (rate: number) => {
  const capacity = Math.max(1, rate / 2);
  let tokens = 1;
  let at = performance.now();
  return async (signal: AbortSignal) => {
    const used = (count: number) => {
      tokens -= count;
    };
    if (rate === 0) return { messages: messagesAtMost, used };
    while (!signal.aborted) {
      const now = performance.now();
      tokens = Math.min(capacity, tokens + ((now - at) / 1000) * rate);
      at = now;
      if (tokens >= 1) break;
      await sleep(Math.max(tick, ((1 - tokens) / rate) * 1000), signal);
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
    /** Up to so many messages, fewer if they are long; none when they have run out. */
    async take(atMost: number): Promise<Message[]> {
      const batch: Message[] = [];
      let bytes = 0;
      while (batch.length < Math.min(atMost, messagesAtMost) && (await hasMore())) {
        const message = next as Message;
        bytes += message.value?.length ?? 0;
        if (batch.length > 0 && bytes > bytesAtMost) break;
        batch.push(message);
        next = undefined;
      }
      return batch;
    },
  };
};
