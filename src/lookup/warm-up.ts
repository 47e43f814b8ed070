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
  /** Orders that are loaded at a time. */
  concurrency: number;
  /** Changes when orders were erased: what was loaded before may hold one, and is not inserted. */
  generation?: (() => number) | undefined;
  /** Called with how long PostgreSQL and memory take for an order, in ms. */
  onMeasured?: (tier: 'memory' | 'postgres', durationMs: number) => void;
  log: Log;
};

type Loaded = { json: string | undefined; generation: number };

/**
 * Fills the caches with the newest orders, the oldest of them first, so that they are evicted in that order. Resolves with the
 * number of orders inserted; rejects with the driver's error, or when `signal` is aborted.
 */
export const createWarmUp =
  ({ store, caches, limit, concurrency, generation = () => 0, onMeasured, log }: Options) =>
  async (signal: AbortSignal): Promise<number> => {
    const startedAt = performance.now();
    const uids = (await store.newest(limit)).reverse();
    log.info({ orders: uids.length, concurrency }, 'warming the cache');

    const limited = pLimit(concurrency);
    const loaded = new Map<OrderUid, Loaded | undefined>();
    const inserts: (void | Promise<void>)[] = [];
    /** How many of `uids`, from the first on, have been processed, and inserted if they were found. */
    let inserted = 0;
    let loggedQuarters = 0;
    /** Loads end in any order; an order is inserted as soon as everything before it is. */
    const insertInOrder = () => {
      for (; inserted < uids.length; inserted++) {
        const uid = uids[inserted] as OrderUid;
        if (!loaded.has(uid)) return;
        const found = loaded.get(uid);
        loaded.set(uid, undefined);
        if (found?.json === undefined || found.generation !== generation()) continue;
        const document = encodeOrder(found.json);
        for (const cache of caches) inserts.push(cache.put(uid, document));
      }
    };
    const logProgress = () => {
      const quarters = Math.floor((inserted / uids.length) * 4);
      if (quarters > loggedQuarters && quarters < 4)
        log.info({ inserted, of: uids.length }, 'warming the cache');
      loggedQuarters = Math.max(loggedQuarters, quarters);
    };
    /** The duration of the quickest load, which waited least for others. */
    let quickestMs = Number.POSITIVE_INFINITY;
    const load = async (uid: OrderUid) => {
      signal.throwIfAborted();
      const startGeneration = generation();
      const startedAt = performance.now();
      loaded.set(uid, { json: await store.find(uid), generation: startGeneration });
      quickestMs = Math.min(quickestMs, performance.now() - startedAt);
      insertInOrder();
      logProgress();
    };
    try {
      await Promise.all(uids.map((uid) => limited(load, uid)));
    } finally {
      limited.clearQueue();
    }
    await Promise.all(inserts);
    const newest = uids.at(-1);
    if (newest !== undefined) {
      const startedAt = performance.now();
      caches[0]?.get(newest);
      onMeasured?.('memory', performance.now() - startedAt);
      onMeasured?.('postgres', quickestMs);
    }
    log.info({ inserted, durationMs: Math.round(performance.now() - startedAt) }, 'the cache is warm');
    return inserted;
  };

type Redis = { onConnected(callback: () => void): void; size(): Promise<number | undefined> };

type KeepWarm = { warm: () => Promise<unknown>; memory: { size(): number }; redis: Redis | undefined };

/**
 * Warms now, and again each time Redis connects and holds fewer orders than memory does. Resolves or rejects with the first
 * warm-up; `warm` has to handle later failures.
 */
export const keepWarm = async ({ warm, memory, redis }: KeepWarm): Promise<void> => {
  const first = warm();
  let last: Promise<unknown> = first.catch(() => {});
  const warmAgain = async () => {
    const size = await redis?.size();
    if (size !== undefined && size < memory.size()) await warm();
  };
  redis?.onConnected(() => {
    last = last.then(warmAgain).catch(() => {});
  });
  await first;
};
