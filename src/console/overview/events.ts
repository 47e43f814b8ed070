import type { History } from '../../history/history.ts';
import type { Sample } from '../../history/series.ts';

/** A browser reconnects after this, so that a connection that is not read does not last forever. */
const maxStreamMs = 600_000;
const maxSubscribers = 50;
/** Samples that a subscriber may fall behind. */
const maxBacklog = 30;

/** The samples of each second as server-sent events. */
export const createOverviewEvents = (history: Pick<History, 'subscribe'>) => {
  const endings = new Set<() => void>();
  const utf8 = new TextEncoder();
  return {
    /** A stream; undefined when there are too many. */
    open(): ReadableStream<Uint8Array> | undefined {
      if (endings.size >= maxSubscribers) return undefined;
      let release = () => {};
      return new ReadableStream({
        start(controller) {
          const end = () => {
            release();
            controller.close();
          };
          const unsubscribe = history.subscribe((sample: Sample) => {
            if ((controller.desiredSize ?? 0) < -maxBacklog) return end();
            controller.enqueue(utf8.encode(`data: ${JSON.stringify(sample)}\n\n`));
          });
          const timer = setTimeout(end, maxStreamMs);
          endings.add(end);
          release = () => {
            clearTimeout(timer);
            unsubscribe();
            endings.delete(end);
          };
          // At once, as browsers wait for it.
          controller.enqueue(utf8.encode('retry: 2000\n\n'));
        },
        cancel: () => release(),
      });
    },
    /** Ends all streams. */
    close() {
      for (const end of [...endings]) end();
    },
  };
};
