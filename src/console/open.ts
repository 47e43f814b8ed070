import type { Config } from '../config/settings.ts';
import type { Health } from '../http/health.ts';
import type { Log } from '../observability/log.ts';
import type { OrderUid } from '../order/order.ts';
import { openDatabase } from '../postgres/pool.ts';
import {
  createOrderSearch,
  ownSearchFields,
  type SearchField,
  searchFieldNames,
} from '../postgres/search.ts';
import { keepSearchIndexes, readyFields } from '../postgres/search-indexes.ts';
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
  /** The name of this process's machine. */
  host: string;
  log: Log;
};

/** Its own, so that an export takes no connection from lookups. */
const connections = 3;
const silenceTimeoutSeconds = 30;
/** A large table takes long to index. */
const indexTimeoutSeconds = 6 * 3_600;
/** An index that has become complete is used after this. */
const readyIntervalMs = 5_000;

/** The console with what it needs: connections to PostgreSQL of its own, and the thread that reads dead letters. */
export const openConsole = ({ operators, config, brokers, databaseUrl, health, host, log }: Options) => {
  const fields: ReadonlySet<SearchField> =
    config.consoleSearch ?? new Set(config.databaseUrl === null ? searchFieldNames : ownSearchFields);
  const sql = openDatabase({ url: databaseUrl, connections, name: 'console', silenceTimeoutSeconds });
  const search = createOrderSearch(sql);
  const letters = createLettersThread(letterSettings(config, brokers));
  const closing = new AbortController();

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
        host,
        search,
        readyFields: searchable,
        letters,
        isStored: async (uid) => (await search.byNumber(uid as OrderUid, { limit: 1 })).orders.length > 0,
      }),
      publicUrl: config.publicUrl,
      trustedProxies: config.trustedProxies,
      log,
    }),
    /** Makes the indexes of the search, once there are tables. */
    async makeIndexes() {
      const name = 'console indexes';
      const own = openDatabase({
        url: databaseUrl,
        connections: 1,
        name,
        silenceTimeoutSeconds: indexTimeoutSeconds,
      });
      const end = () => own.end({ timeout: 1 });
      closing.signal.addEventListener('abort', end);
      await keepSearchIndexes(own, fields, log, closing.signal).finally(end);
    },
    async close() {
      closing.abort();
      letters.close();
      await sql.end({ timeout: 1 });
    },
  };
};

export type Console = ReturnType<typeof openConsole>;
