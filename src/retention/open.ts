import { retry, sleep } from '../async/retry.ts';
import { waitAtMost } from '../async/timeouts.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';
import { createExpiry, expiryConnection, expiryIndex } from '../postgres/expiry.ts';
import { keepIndexesOf } from '../postgres/indexes.ts';
import { openDatabase } from '../postgres/pool.ts';
import { createRetention } from './retention.ts';

type Settings = { retentionDays: number | null; letterRetentionDays: number | null };

/** A frozen PostgreSQL must not hang it for ever. */
const silenceTimeoutSeconds = 60;
/** How often a process without a limit looks whether another one still needs the index. */
const unusedCheckIntervalMs = 600_000;
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
  const name = days === null ? 'indexes' : expiryConnection;
  const sql = openDatabase({ url, connections: 1, name, silenceTimeoutSeconds });
  const expiry = createExpiry(sql);
  const keepIndex = (needed: string[], signal: AbortSignal) =>
    keepIndexesOf(url, { known: [expiryIndex], needed: new Set(needed) }, log, signal);
  const makeIndex = (signal: AbortSignal) => keepIndex([expiryIndex.name], signal);
  const retention = days === null ? undefined : createRetention({ expiry, days, log, makeIndex });

  const isUsed = () =>
    retry(expiry.isUsed, {
      signal: closing.signal,
      failed: (error) => log.debug({ reason: errorText(error) }, 'it is not known who needs the index'),
    });
  /** Processes may have different settings, as while they are restarted one by one. */
  const dropIndex = async () => {
    while (await isUsed()) {
      log.info({ index: expiryIndex.name }, 'an index is kept: another process deletes expired orders');
      await sleep(unusedCheckIntervalMs, closing.signal);
    }
    await keepIndex([], closing.signal);
    await sql.end({ timeout: 1 });
  };

  let running: Promise<unknown> = Promise.resolve();
  return {
    /** Undefined without a limit. */
    retention,
    /** Begins, once there are tables. */
    start() {
      warnOfLetters(settings, log);
      running = retention
        ? retention.runUntil(closing.signal)
        : dropIndex().catch((error) => {
            if (!closing.signal.aborted) throw error;
          });
    },
    async close() {
      closing.abort();
      await waitAtMost(stopTimeoutMs, running);
      await sql.end({ timeout: 1 });
    },
  };
};
