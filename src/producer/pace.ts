import { sleep } from '../async/retry.ts';
import { raceAbort, waitAtMost } from '../async/timeouts.ts';
import type { Message } from './messages.ts';

/** Limits of a batch. Kafka's default max.message.bytes is 1 MB, and all messages may be for one partition. */
const maxMessages = 1000;
const maxBytes = 800_000;

/** Shortest wait for the rate limit: short enough for a smooth stream, long enough to cost little. */
const minWaitMs = 20;

/** How long messages that have arrived wait for others that are still to arrive. */
const lingerMs = 100;

/** Messages that are generated, or lists of messages as they arrive. */
type Source = Iterable<Message> | AsyncIterable<Message[]>;

/**
 * Sends messages in batches, `rate` per second (0: no limit), until `count` are sent, they run out, or `signal` is aborted. One
 * batch is in flight while the next is generated. A message of more than `maxBatchBytes` is a batch of its own. Resolves when the
 * last is acknowledged, with whether that was all; rejects with the error of `send`, or, once the messages before it are
 * acknowledged, with that of `messages`.
 */
export const sendPaced = async ({
  messages,
  count = Number.POSITIVE_INFINITY,
  rate,
  maxBatchBytes = maxBytes,
  send,
  signal,
}: {
  messages: Source;
  count?: number | undefined;
  rate: number;
  maxBatchBytes?: number;
  send: (batch: Message[]) => Promise<void>;
  signal: AbortSignal;
}): Promise<boolean> => {
  const queue = createQueue(messages, count, Math.min(maxBytes, maxBatchBytes));
  const allow = createAllowance(rate);
  let inFlight = Promise.resolve();
  try {
    while (!signal.aborted && (await queue.hasMore(signal))) {
      const allowance = await allow(signal);
      const batch = await queue.take(allowance.messages);
      await inFlight;
      if (signal.aborted) return false;
      allowance.used(batch.length);
      inFlight = send(batch);
      // It is awaited in the next round; until then a rejection must not count as unhandled.
      inFlight.catch(() => {});
    }
    return queue.isOver();
  } finally {
    await inFlight;
  }
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

/** What a message takes besides its key and value, at most, without headers that tracing adds. */
const frameBytes = 128;
const sizeOf = ({ key, value }: Message) => frameBytes + Buffer.byteLength(key ?? '') + (value?.length ?? 0);

const createQueue = (source: Source, count: number, maxBatchBytes: number) => {
  const isStream = Symbol.asyncIterator in source;
  const lists = isStream ? source[Symbol.asyncIterator]() : asLists(source);
  let ready: Message[] = [];
  let next = 0;
  let remaining = count;
  let hasEnded = false;
  let failure: unknown;
  let arriving: Promise<void> | undefined;

  const arrive = async () => {
    try {
      const { value, done } = await lists.next();
      hasEnded = done === true;
      if (!done) {
        ready = value;
        next = 0;
      }
    } catch (error) {
      // Reported when the messages before it are sent.
      hasEnded = true;
      failure = error;
    }
    arriving = undefined;
  };
  const isReady = () => next < ready.length;
  const canArrive = () => !isReady() && !hasEnded && remaining > 0;

  return {
    isOver: () => remaining === 0 || (hasEnded && !isReady()),
    /** Waits for the next message. False when there is none, or `signal` is aborted. */
    async hasMore(signal: AbortSignal): Promise<boolean> {
      while (canArrive() && !signal.aborted) {
        arriving ??= arrive();
        await raceAbort(signal, arriving).catch(() => {});
      }
      if (signal.aborted || remaining === 0) return false;
      if (!isReady() && failure) throw failure;
      return isReady();
    },
    /** At most `limit` messages, fewer if they are long or have not arrived yet. */
    async take(limit: number): Promise<Message[]> {
      const batch: Message[] = [];
      let bytes = 0;
      while (batch.length < Math.min(limit, maxMessages) && remaining > 0) {
        if (canArrive()) {
          arriving ??= arrive();
          await (isStream ? waitAtMost(lingerMs, arriving) : arriving);
        }
        const message = ready[next];
        if (!message) break;
        bytes += sizeOf(message);
        if (batch.length > 0 && bytes > maxBatchBytes) break;
        batch.push(message);
        next += 1;
        remaining -= 1;
      }
      return batch;
    },
  };
};

async function* asLists(messages: Iterable<Message>): AsyncGenerator<Message[]> {
  for (const message of messages) yield [message];
}
