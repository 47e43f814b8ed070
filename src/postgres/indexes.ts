import type { Sql } from 'postgres';
import { backoff, sleep } from '../async/retry.ts';
import { reasonOf } from '../observability/error-reason.ts';
import type { Log } from '../observability/log.ts';
import { isPermissionDenied } from './errors.ts';
import { openDatabase } from './pool.ts';

/** An index that only some configurations need. Its name must not change from version to version. */
export type Index = { name: string; table: string; columns: string };

/** `path`: the name as SQL, with its schema. */
type State = { name: string; path: string; isValid: boolean; isBuilding: boolean };

/** SQLSTATE: the index exists already, or is gone already, as another process was first. */
const raced = ['42P07', '42704', '23505'];
/** A large table takes long to index. */
const silenceTimeoutSeconds = 6 * 3_600;

/** By their tables, in whose schema an index is: that need not be the first of the `search_path`. */
const readState = (sql: Sql, indexes: readonly Index[]) => sql<State[]>`
  select known.name, format('%I.%I', n.nspname, c.relname) as path, i.indisvalid as "isValid",
    exists (select from pg_stat_progress_create_index p where p.index_relid = c.oid) as "isBuilding"
  from unnest(
    ${indexes.map((index) => index.name) as never}::text[], ${indexes.map(({ table }) => table) as never}::text[]
  ) as known (name, place)
  join pg_index i on i.indrelid = to_regclass(place)
  join pg_class c on c.oid = i.indexrelid and c.relname = known.name
  join pg_namespace n on n.oid = c.relnamespace`;

/** The names of those that are complete. Rejects with the driver's error. */
export const readyIndexes = async (sql: Sql, indexes: readonly Index[]): Promise<Set<string>> =>
  new Set((await readState(sql, indexes)).filter(({ isValid }) => isValid).map(({ name }) => name));

export type Indexes = {
  /** All that this program may have made. */
  known: readonly Index[];
  /** The names of those that are needed. */
  needed: ReadonlySet<string>;
};

/** One step towards the indexes that are needed; resolves with whether there was nothing left to do. */
const improve = async (sql: Sql, { known, needed }: Indexes, log: Log): Promise<boolean> => {
  const states = await readState(sql, known);
  const indexes = new Map(states.map((state) => [state.name, state]));
  let isDone = true;
  for (const { name, table, columns } of known) {
    const state = indexes.get(name);
    // Of a build that another process is busy with, or has not begun to report.
    if (state && !state.isValid && state.isBuilding) {
      isDone = false;
      continue;
    }
    if (state && (!state.isValid || !needed.has(name))) {
      await sql.unsafe(`drop index concurrently if exists ${state.path}`);
      log.info({ index: name }, 'an index was dropped');
      indexes.delete(name);
    }
    if (!needed.has(name) || indexes.has(name)) continue;
    const startedAt = performance.now();
    await sql.unsafe(`create index concurrently if not exists ${name} on ${table} (${columns})`);
    log.info({ index: name, durationMs: Math.round(performance.now() - startedAt) }, 'an index was created');
  }
  return isDone;
};

/**
 * Makes the indexes that are needed, and drops the others, in the background: orders are stored and looked up meanwhile. What an
 * interrupted build has left is built again. Several processes may do it at once. Retries until it succeeds or `signal` is
 * aborted; without the right to create indexes it logs that and gives up. Resolves with whether the indexes are as they should be.
 */
export const keepIndexes = async (
  sql: Sql,
  indexes: Indexes,
  log: Log,
  signal: AbortSignal,
): Promise<boolean> => {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      if (await improve(sql, indexes, log)) return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (isPermissionDenied(error)) {
        log.warn(
          { indexes: [...indexes.needed] },
          'indexes cannot be made or dropped: the role does not own the tables',
        );
        return false;
      }
      if (!raced.includes(String((error as { code?: unknown }).code)))
        log.warn({ reason: reasonOf(error) }, 'the indexes cannot be made yet');
    }
    await sleep(backoff(attempt), signal);
  }
  return false;
};

/** As `keepIndexes`, on a connection of its own to the database at `url`. */
export const keepIndexesOf = async (
  url: string,
  indexes: Indexes,
  log: Log,
  signal: AbortSignal,
): Promise<boolean> => {
  const sql = openDatabase({ url, connections: 1, name: 'indexes', silenceTimeoutSeconds });
  const end = () => sql.end({ timeout: 1 });
  signal.addEventListener('abort', end);
  return keepIndexes(sql, indexes, log, signal).finally(end);
};
