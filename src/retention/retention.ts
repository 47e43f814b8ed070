import { sleep } from '../async/retry.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';
import { expiryOf } from '../order/retention.ts';
import type { Expiry } from '../postgres/expiry.ts';

/** How often each process looks for expired orders. */
const checkIntervalMs = 60_000;
const retryIntervalMs = 5_000;
/** After a batch nothing is deleted for this many times as long as it took: a tenth of the time of one connection is spent on it. */
const restPerWork = 9;
/** Well within the lease. */
const maxRestMs = 10_000;
/** What a batch is to take. Where PostgreSQL is busy, or orders are large, batches become smaller. */
const batchMs = 50;
const minBatchSize = 10;
const maxBatchSize = 1_000;
/** How often, while many orders are deleted, other processes look which of theirs are gone. */
const announceIntervalMs = 5_000;
/** An exact count of all would take long. */
const maxCount = 1_000_000;
/** Clocks that differ by more are wrong. */
const maxClockDifferenceMs = 60_000;

type Options = {
  expiry: Expiry;
  days: number;
  log: Log;
  /** Makes the index that the oldest orders are found by. Resolves with whether it is there; false is final. */
  makeIndex?: (signal: AbortSignal) => Promise<boolean>;
  /** For tests: the clock of this process, in ms since 1970. */
  now?: () => number;
};

/**
 * Deletes orders that are older than `days`, in small batches with rests between them, so that orders are stored and looked up
 * meanwhile. Of several processes one at a time does it. An order has expired when both clocks say so, that of this process and that
 * of PostgreSQL: a clock that is ahead deletes nothing too early.
 */
export const createRetention = ({
  expiry,
  days,
  log,
  makeIndex = async () => false,
  now = Date.now,
}: Options) => {
  const holder = crypto.randomUUID();
  const startedAt = performance.now();
  let deleted = 0;
  let isCounted = false;
  let mayMakeIndex = true;
  /** Infinite without orders. */
  let oldest: number | undefined;
  /** When this process last knew that no order had expired. */
  let doneAt = startedAt;
  let batchSize = 100;
  const warned = new Set<string>();
  const warnOnce = (text: string, fields: object = {}) => {
    if (!warned.has(text)) log.warn(fields, text);
    warned.add(text);
  };

  /** Undefined without the index. The age of the oldest order is unknown then, and while PostgreSQL does not answer. */
  const readAges = async () => {
    const ages = await expiry.readAges().catch((error) => {
      oldest = undefined;
      throw error;
    });
    if (!ages) oldest = undefined;
    return ages;
  };

  /** As `readAges`, after the index is made if it is not there: a process without the setting may have dropped it. */
  const readIndexedAges = async (signal: AbortSignal) => {
    const ages = await readAges();
    if (ages || !mayMakeIndex) return ages;
    mayMakeIndex = await makeIndex(signal);
    return readAges();
  };

  /** Undefined while it is not known which orders have expired. */
  const readExpired = async (signal: AbortSignal): Promise<number | undefined> => {
    const ages = await readIndexedAges(signal);
    if (!ages) {
      warnOnce('expired orders are not deleted yet: the index orders_date_created is not there');
      return undefined;
    }
    const clock = now();
    const differenceMs = Math.round(Math.abs(ages.clock - clock));
    if (differenceMs > maxClockDifferenceMs)
      warnOnce(
        'the clocks of this process and of PostgreSQL differ: orders expire by the one that is behind',
        {
          differenceMs,
        },
      );
    oldest = ages.oldest ?? Number.POSITIVE_INFINITY;
    return expiryOf(days, Math.min(clock, ages.clock));
  };

  const logCount = async (expiredBefore: number) => {
    if (isCounted) return;
    // Where even that takes too long, orders expire all the same.
    const orders = await expiry.count(expiredBefore, maxCount).catch(() => undefined);
    log.info(
      { orders, isMore: orders === maxCount, days, before: new Date(expiredBefore).toISOString() },
      'expired orders are deleted',
    );
    isCounted = true;
  };

  /** Deletes what has expired before, until nothing is left, or another process does it. Resolves with how many it deleted. */
  const deleteAll = async (expiredBefore: number, signal: AbortSignal): Promise<number> => {
    let from: string | undefined;
    let announcedAt = Number.NEGATIVE_INFINITY;
    for (let total = 0; ; ) {
      const startedAt = performance.now();
      const isAnnounced = startedAt - announcedAt >= announceIntervalMs;
      const limit = batchSize;
      // After a batch that has failed, as by a timeout, the next one is the smallest.
      batchSize = minBatchSize;
      const batch = await expiry.deleteBatch({ holder, from, expiry: expiredBefore, limit, isAnnounced });
      batchSize = limit;
      if (!batch) return total;
      const tookMs = performance.now() - startedAt;
      if (isAnnounced) announcedAt = startedAt;
      from = batch.last;
      total += batch.deleted;
      deleted += batch.deleted;
      if (batch.deleted < limit) return total;
      batchSize = Math.round(Math.max(minBatchSize, Math.min(maxBatchSize, (limit * batchMs) / tookMs)));
      await sleep(Math.min(tookMs * restPerWork, maxRestMs), signal);
      if (signal.aborted) return total;
    }
  };

  /** One look for expired orders. Rejects with the driver's error. */
  const run = async (signal: AbortSignal): Promise<void> => {
    const expiredBefore = await readExpired(signal);
    if (expiredBefore === undefined) return;
    if (oldest !== undefined && oldest < expiredBefore) {
      await logCount(expiredBefore);
      const startedAt = performance.now();
      const orders = await deleteAll(expiredBefore, signal);
      const seconds = Math.round((performance.now() - startedAt) / 1000);
      if (orders > 0) log.debug({ orders, seconds }, 'expired orders were deleted');
      if ((await readExpired(signal)) === undefined || (oldest !== undefined && oldest < expiredBefore))
        return;
    }
    doneAt = performance.now();
  };

  return {
    run,
    /** Runs every minute until `signal` is aborted. */
    async runUntil(signal: AbortSignal): Promise<void> {
      let isFailing = false;
      while (!signal.aborted) {
        try {
          await run(signal);
          isFailing = false;
        } catch (error) {
          if (signal.aborted) break;
          if (!isFailing)
            log.warn({ reason: errorText(error) }, 'expired orders cannot be deleted; trying again');
          isFailing = true;
        }
        // Not all processes at once.
        const intervalMs = isFailing ? retryIntervalMs : checkIntervalMs;
        await sleep(intervalMs * (0.9 + Math.random() / 5), signal);
      }
      await expiry.release(holder).catch(() => {}); // The lease ends by itself.
    },
    /** Orders that this process has deleted. */
    deleted: () => deleted,
    /** Of the oldest order by its `date_created`, in s; 0 without orders, undefined while it is not known. */
    oldestAgeSeconds: () => (oldest === undefined ? undefined : Math.max(0, (now() - oldest) / 1000)),
    /** How long ago this process last knew that no order had expired, or started, in s. */
    behindSeconds: () => (performance.now() - doneAt) / 1000,
  };
};

export type Retention = ReturnType<typeof createRetention>;
