import { waitAtMost } from '../async/timeouts.ts';
import type { Log } from '../observability/log.ts';
import { createExpiry, expiryIndex } from '../postgres/expiry.ts';
import { keepIndexesOf } from '../postgres/indexes.ts';
import { openDatabase } from '../postgres/pool.ts';
import { createRetention } from './retention.ts';

type Settings = { retentionDays: number | null; letterRetentionDays: number | null };

/** A frozen PostgreSQL must not hang it for ever. */
const silenceTimeoutSeconds = 60;
/** The batch in flight ends, and the lease is given back. */
const stopTimeoutMs = 1_000;

const warnOfLetters = ({ retentionDays, letterRetentionDays }: Settings, log: Log) => {
  if (retentionDays === null || (letterRetentionDays !== null && letterRetentionDays <= retentionDays))
    return;
  log.warn(
    { retentionDays, letterRetentionDays },
    'dead letters, which hold personal data, are kept for longer than orders: set DLQ_RETENTION_DAYS',
  );
};

/** The retention of the orders in the database at `url`, with a connection of its own. Without a limit it only drops the index. */
export const openRetention = (url: string, settings: Settings, log: Log) => {
  const { retentionDays: days } = settings;
  const closing = new AbortController();
  const sql = openDatabase({ url, connections: 1, name: 'retention', silenceTimeoutSeconds });
  const retention = days === null ? undefined : createRetention({ expiry: createExpiry(sql), days, log });
  let running: Promise<unknown> = Promise.resolve();
  return {
    /** Undefined without a limit. */
    retention,
    /** Begins, once there are tables. */
    start() {
      warnOfLetters(settings, log);
      const needed = new Set(retention ? [expiryIndex.name] : []);
      running = (async () => {
        await keepIndexesOf(url, { known: [expiryIndex], needed }, log, closing.signal);
        await retention?.runUntil(closing.signal);
      })();
    },
    async close() {
      closing.abort();
      await waitAtMost(stopTimeoutMs, running);
      await sql.end({ timeout: 1 });
    },
  };
};
