import type { Summary } from '../order/summary.ts';

/** At most one event in this time: a person cannot read more, so of a faster stream a sample is sent. */
const eventIntervalMs = 200;
/** Events that a new subscriber gets at once. */
const historyLength = 10;
/** Shorter than the idle time after which the server and proxies close a connection. */
const heartbeatIntervalMs = 15_000;
const maxSubscribers = 500;
/** A client may be an office behind one address. */
export const clientSubscribers = 20;
/** A stream is closed after this, so that a connection that is not read does not last for ever; a browser reconnects. */
const maxStreamMs = 600_000;
/** A busy process closes a stream so much later. */
const closingMs = 10_000;
/** Chunks that a subscriber may fall behind. */
const maxBacklog = 100;

type Controller = ReadableStreamDefaultController<Uint8Array>;

/**
 * The newest orders as server-sent events. A stream begins with the last of them, and with an event `history` that has their numbers:
 * of the orders from before, which may have been erased meanwhile, a list keeps only these. `erased` has the numbers of erased orders.
 */
export const createFeed = ({ streamMs = maxStreamMs } = {}) => {
  type Subscriber = { client: string; timer: ReturnType<typeof setTimeout> };
  const subscribers = new Map<Controller, Subscriber>();
  const countByClient = new Map<string, number>();
  const utf8 = new TextEncoder();
  let history: Summary[] = [];
  /** When the orders left the history that a page may still list, as it may be paused; at most as many as a stream has events. */
  const leftAt = new Map<string, number>();
  let pending: Summary | undefined;
  let sentAt = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;

  const send = (text: string) => {
    const bytes = utf8.encode(text);
    for (const subscriber of subscribers.keys()) {
      // One that falls behind is dropped; its browser reconnects.
      if ((subscriber.desiredSize ?? 0) < -maxBacklog) drop(subscriber);
      else subscriber.enqueue(bytes);
    }
  };
  const remove = (controller: Controller) => {
    const subscriber = subscribers.get(controller);
    if (!subscriber) return;
    clearTimeout(subscriber.timer);
    subscribers.delete(controller);
    const others = (countByClient.get(subscriber.client) ?? 1) - 1;
    if (others === 0) countByClient.delete(subscriber.client);
    else countByClient.set(subscriber.client, others);
  };
  const drop = (controller: Controller) => {
    remove(controller);
    controller.close();
  };
  const leave = (uid: string) => {
    leftAt.set(uid, performance.now());
    for (const [old, at] of leftAt) {
      if (at > performance.now() - streamMs - closingMs) break;
      leftAt.delete(old);
    }
  };
  const flush = () => {
    timer = undefined;
    if (!pending) return;
    sentAt = performance.now();
    for (const { uid } of history.splice(0, history.length - historyLength + 1)) leave(uid);
    leftAt.delete(pending.uid);
    history.push(pending);
    send(toEvent(pending));
    pending = undefined;
  };
  const heartbeat = setInterval(() => send(': heartbeat\n\n'), heartbeatIntervalMs);

  const hasRoomFor = (client: string) => (countByClient.get(client) ?? 0) < clientSubscribers;

  return {
    publish(summaries: readonly Summary[]) {
      if (isClosed) return;
      pending = summaries.at(-1) ?? pending;
      timer ??= setTimeout(flush, Math.max(0, sentAt + eventIntervalMs - performance.now()));
    },
    /** Whether the client is below its limit of subscribers. */
    hasRoomFor,
    /** A stream for one more subscriber; undefined when a limit is reached, of the client or in total, and after `close`. */
    open(client = ''): ReadableStream<Uint8Array> | undefined {
      if (isClosed || subscribers.size >= maxSubscribers || !hasRoomFor(client)) return undefined;
      let own: Controller;
      return new ReadableStream({
        start(controller) {
          own = controller;
          subscribers.set(controller, { client, timer: setTimeout(drop, streamMs, controller) });
          countByClient.set(client, (countByClient.get(client) ?? 0) + 1);
          // The numbers come last, as a list must not be empty meanwhile.
          const uids = JSON.stringify(history.map(({ uid }) => uid));
          controller.enqueue(
            utf8.encode(
              `: the newest orders\n\n${history.map(toEvent).join('')}event: history\ndata: ${uids}\n\n`,
            ),
          );
        },
        cancel() {
          remove(own);
        },
      });
    },
    /** The orders that subscribers may list. */
    uids: () => [...leftAt.keys(), ...[...history, ...(pending ? [pending] : [])].map(({ uid }) => uid)],
    /** Removes orders that were erased, also from the lists of the subscribers. */
    remove(uids: readonly string[]) {
      const isKept = ({ uid }: Summary) => !uids.includes(uid);
      history = history.filter(isKept);
      for (const uid of uids) leftAt.delete(uid);
      if (pending && !isKept(pending)) pending = undefined;
      send(`event: erased\ndata: ${JSON.stringify(uids)}\n\n`);
    },
    subscribers: () => subscribers.size,
    close() {
      isClosed = true;
      clearInterval(heartbeat);
      clearTimeout(timer);
      for (const subscriber of subscribers.keys()) drop(subscriber);
    },
  };
};

export type Feed = ReturnType<typeof createFeed>;

const toEvent = (summary: Summary) => `data: ${JSON.stringify(summary)}\n\n`;
