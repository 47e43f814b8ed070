import type { Summary } from '../order/summary.ts';

/** A person can follow so many orders a second; of more, a sample is shown. In ms between two. */
const pace = 200;
/** What a new reader is shown at once. */
const kept = 10;
/** Below the time after which the server and proxies close a connection that is silent, in ms. */
const heartbeatEvery = 15_000;
const readersAtMost = 500;
/** A client is perhaps an office behind one address. */
export const readersOfClient = 20;
/** So that no connection lasts for ever, whether somebody reads it or not: a browser connects again by itself. In ms. */
const lifetime = 600_000;

/** The newest orders as server-sent events. */
export const createFeed = ({ lastsFor = lifetime } = {}) => {
  type Reader = { client: string; timer: ReturnType<typeof setTimeout> };
  const readers = new Map<ReadableStreamDefaultController<Uint8Array>, Reader>();
  const readersBy = new Map<string, number>();
  const utf8 = new TextEncoder();
  let recent: Summary[] = [];
  let waiting: Summary | undefined;
  let sentAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;

  const send = (text: string) => {
    const bytes = utf8.encode(text);
    for (const reader of readers.keys()) {
      // A reader that does not read is let go rather than waited for: its browser connects again.
      if ((reader.desiredSize ?? 0) < -100) drop(reader);
      else reader.enqueue(bytes);
    }
  };
  const forget = (reader: ReadableStreamDefaultController<Uint8Array>) => {
    const known = readers.get(reader);
    if (!known) return;
    const { client, timer } = known;
    clearTimeout(timer);
    readers.delete(reader);
    const others = (readersBy.get(client) ?? 1) - 1;
    if (others === 0) readersBy.delete(client);
    else readersBy.set(client, others);
  };
  const drop = (reader: ReadableStreamDefaultController<Uint8Array>) => {
    forget(reader);
    reader.close();
  };
  const flush = () => {
    timer = undefined;
    if (!waiting) return;
    sentAt = Date.now();
    recent = [...recent.slice(1 - kept), waiting];
    send(toEvent(waiting));
    waiting = undefined;
  };
  const heartbeat = setInterval(() => send(': alive\n\n'), heartbeatEvery);

  const hasRoomFor = (client: string) => (readersBy.get(client) ?? 0) < readersOfClient;

  return {
    publish(summaries: readonly Summary[]) {
      if (isClosed) return;
      waiting = summaries.at(-1) ?? waiting;
      timer ??= setTimeout(flush, Math.max(0, sentAt + pace - Date.now()));
    },
    /** Whether the client has not too many readers already. */
    hasRoomFor,
    /** A stream for one more reader, or undefined when there are too many, of this client or in all, or after the end. */
    open(client = ''): ReadableStream<Uint8Array> | undefined {
      if (isClosed || readers.size >= readersAtMost || !hasRoomFor(client)) return undefined;
      let own: ReadableStreamDefaultController<Uint8Array>;
      return new ReadableStream({
        start(controller) {
          own = controller;
          readers.set(controller, { client, timer: setTimeout(drop, lastsFor, controller) });
          readersBy.set(client, (readersBy.get(client) ?? 0) + 1);
          controller.enqueue(utf8.encode(`: the newest orders\n\n${recent.map(toEvent).join('')}`));
        },
        cancel() {
          forget(own);
        },
      });
    },
    readers: () => readers.size,
    close() {
      isClosed = true;
      clearInterval(heartbeat);
      clearTimeout(timer);
      for (const reader of readers.keys()) drop(reader);
    },
  };
};

export type Feed = ReturnType<typeof createFeed>;

const toEvent = (summary: Summary) => `data: ${JSON.stringify(summary)}\n\n`;
