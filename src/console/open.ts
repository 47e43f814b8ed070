import type { Config } from '../config/settings.ts';
import { createHistory } from '../history/history.ts';
import { createReadTotals } from '../history/totals.ts';
import type { Health } from '../http/health.ts';
import type { ConsumerThread } from '../ingest/thread.ts';
import type { LookupSources } from '../lookup/metrics.ts';
import type { Log } from '../observability/log.ts';
import type { OrderUid } from '../order/order.ts';
import { createErasures } from '../postgres/erasures.ts';
import { keepIndexesOf } from '../postgres/indexes.ts';
import { openDatabase } from '../postgres/pool.ts';
import {
  createOrderSearch,
  ownSearchFields,
  type SearchField,
  searchFieldNames,
} from '../postgres/search.ts';
import { readyFields, searchIndexes } from '../postgres/search-indexes.ts';
import { createConsole } from './handler.tsx';
import { letterSettings } from './letters/settings.ts';
import { createLettersThread } from './letters/thread.ts';
import type { Operator } from './operators.ts';
import { createConsoleRoutes } from './routes.ts';

type Options = {
  operators: readonly Operator[];
  config: Config;
  brokers: string[];
  databaseUrl: string;
  health: () => Promise<Health>;
  lookup: LookupSources['lookup'];
  /** Filled later. */
  consumers: readonly ConsumerThread[];
  /** The name of this process's machine. */
  host: string;
  log: Log;
};

/** Its own, so that an export takes no connection from lookups. */
const connections = 3;
const silenceTimeoutSeconds = 30;
/** An index that has become complete is used after this. */
const readyIntervalMs = 5_000;

/** The console with what it needs: connections to PostgreSQL of its own, and the thread that reads dead letters. */
export const openConsole = ({ operators, config, health, host, log, ...options }: Options) => {
  const { brokers, databaseUrl, lookup, consumers } = options;
  const fields: ReadonlySet<SearchField> =
    config.consoleSearch ?? new Set(config.databaseUrl === null ? searchFieldNames : ownSearchFields);
  const sql = openDatabase({ url: databaseUrl, connections, name: 'console', silenceTimeoutSeconds });
  const search = createOrderSearch(sql);
  const letters = createLettersThread(letterSettings(config, brokers));
  const history = createHistory({ readTotals: createReadTotals({ lookup, consumers }) });
  const closing = new AbortController();
  const streamsClosing = new AbortController();

  let ready: ReadonlySet<SearchField> = new Set();
  let readAt = Number.NEGATIVE_INFINITY;
  const searchable = async () => {
    if (performance.now() - readAt > readyIntervalMs) {
      ready = (await readyFields(sql)).intersection(fields);
      readAt = performance.now();
    }
    return ready;
  };

  return {
    route: createConsole({
      operators,
      routes: createConsoleRoutes({
        health,
        history,
        closing: streamsClosing.signal,
        host,
        search,
        readyFields: searchable,
        letters,
        erasures: createErasures(sql),
        isStored: async (uid) => (await search.byNumber(uid as OrderUid, { limit: 1 })).orders.length > 0,
      }),
      publicUrl: config.publicUrl,
      basePath: config.basePath,
      trustedProxies: config.trustedProxies,
      log,
    }),
    /** Makes the indexes of the search, once there are tables. */
    makeIndexes: () => keepIndexesOf(databaseUrl, searchIndexes(fields), log, closing.signal),
    /** Ends the streams of the overview, which a server that stops would wait for. */
    endStreams: () => streamsClosing.abort(),
    async close() {
      history.close();
      closing.abort();
      letters.close();
      await sql.end({ timeout: 1 });
    },
  };
};

export type Console = ReturnType<typeof openConsole>;
