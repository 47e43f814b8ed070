import pLimit from 'p-limit';
import type { Log } from '../observability/log.ts';
import { encodeOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';
import type { Store } from '../postgres/store.ts';
import type { OrderCache } from './cache.ts';

type Options = {
  store: Pick<Store, 'newest' | 'find'>;
  caches: readonly OrderCache[];
  limit: number;
  /** Orders that are loaded at once. */
  concurrency: number;
  log: Log;
};

/**
 * Fills the caches with the newest orders, the oldest of them first, so that they leave in the right order. Resolves with
 * how many were entered; rejects with the driver's error, or when `signal` is aborted.
 */
export const createWarmUp =
  ({ store, caches, limit, concurrency, log }: Options) =>
  async (signal: AbortSignal): Promise<number> => {
    const begun = performance.now();
    const uids = (await store.newest(limit)).reverse();
    log.info({ orders: uids.length, concurrency }, 'warming the cache');

    const slots = pLimit(concurrency);
    const loaded = new Map<OrderUid, string | undefined>();
    const entering: (void | Promise<void>)[] = [];
    let entered = 0;
    let told = 0;
    /** Loads end in any order; what has been loaded enters as soon as everything before it has. */
    const enterInOrder = () => {
      for (; entered < uids.length; entered++) {
        const uid = uids[entered] as OrderUid;
        if (!loaded.has(uid)) return;
        const json = loaded.get(uid);
        loaded.set(uid, undefined);
        if (json === undefined) continue;
        const document = encodeOrder(json);
        for (const cache of caches) entering.push(cache.put(uid, document));
      }
    };
    try {
      await Promise.all(
        uids.map((uid) =>
          slots(async () => {
            signal.throwIfAborted();
            loaded.set(uid, await store.find(uid));
            enterInOrder();
            const quarters = Math.floor((entered / uids.length) * 4);
            if (quarters > told && quarters < 4) log.info({ entered, of: uids.length }, 'warming the cache');
            told = Math.max(told, quarters);
          }),
        ),
      );
    } finally {
      slots.clearQueue();
    }
    await Promise.all(entering);
    log.info({ entered, milliseconds: Math.round(performance.now() - begun) }, 'the cache is warm');
    return entered;
  };

type Reached = { onReached(callback: () => void): void; size(): Promise<number | undefined> };

type KeepWarm = { warm: () => Promise<unknown>; memory: { size(): number }; redis: Reached | undefined };

/**
 * Warms now, and again each time Redis is reached anew and holds less than memory does. Resolves or rejects as the first
 * time does; later failures are left to `warm`.
 */
export const keepWarm = async ({ warm, memory, redis }: KeepWarm): Promise<void> => {
  const first = warm();
  let last: Promise<unknown> = first.catch(() => {});
  const warmAgain = async () => {
    const size = await redis?.size();
    if (size !== undefined && size < memory.size()) await warm();
  };
  redis?.onReached(() => {
    last = last.then(warmAgain).catch(() => {});
  });
  await first;
};
