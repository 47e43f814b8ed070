import type { Sql } from 'postgres';
import { backoff, sleep } from '../async/retry.ts';
import { reasonOf } from '../observability/error-reason.ts';
import type { Log } from '../observability/log.ts';
import { type SearchField, searchFieldNames, searchFields } from './search.ts';

const prefix = 'console_search_';
const nameOf = (field: SearchField) => `${prefix}${field}`;

type State = { name: string; isValid: boolean; isBuilding: boolean };

/** SQLSTATE: the index exists already, or is gone already, as another process was first. */
const raced = ['42P07', '42704', '23505'];
const permissionDenied = '42501';

const readState = (sql: Sql) => sql<State[]>`
  select c.relname as name, i.indisvalid as "isValid",
    exists (select from pg_stat_progress_create_index p where p.index_relid = c.oid) as "isBuilding"
  from pg_index i join pg_class c on c.oid = i.indexrelid
  where c.relname like ${`${prefix}%`} and c.relnamespace = current_schema()::regnamespace`;

/** The fields whose index is complete. Rejects with the driver's error. */
export const readyFields = async (sql: Sql): Promise<Set<SearchField>> => {
  const valid = new Set((await readState(sql)).filter(({ isValid }) => isValid).map(({ name }) => name));
  return new Set(searchFieldNames.filter((field) => valid.has(nameOf(field))));
};

/** One step towards the indexes of `fields`; resolves with whether there was nothing left to do. */
const improve = async (sql: Sql, fields: ReadonlySet<SearchField>, log: Log): Promise<boolean> => {
  const indexes = new Map((await readState(sql)).map((state) => [state.name, state]));
  let isDone = true;
  for (const field of searchFieldNames) {
    const name = nameOf(field);
    const state = indexes.get(name);
    // Of a build that another process is busy with, or has not begun to report.
    if (state && !state.isValid && state.isBuilding) {
      isDone = false;
      continue;
    }
    if (state && (!state.isValid || !fields.has(field))) {
      await sql.unsafe(`drop index concurrently if exists ${name}`);
      log.info({ field }, 'an index of the search was dropped');
      indexes.delete(name);
    }
    if (!fields.has(field) || indexes.has(name)) continue;
    const begun = performance.now();
    const { table, columns } = searchFields[field];
    await sql.unsafe(`create index concurrently if not exists ${name} on ${table} (${columns})`);
    log.info({ field, ms: Math.round(performance.now() - begun) }, 'an index of the search was created');
  }
  return isDone;
};

/**
 * Makes the indexes of `fields`, and drops those of other fields, in the background: orders are stored and looked up meanwhile. What an
 * interrupted build has left is made anew. Several processes may do it at once. Retries until it succeeds or `signal` is
 * aborted; without the right to create indexes it logs that and gives up.
 */
export const keepSearchIndexes = async (
  sql: Sql,
  fields: ReadonlySet<SearchField>,
  log: Log,
  signal: AbortSignal,
): Promise<void> => {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      if (await improve(sql, fields, log)) return;
    } catch (error) {
      if (signal.aborted) return;
      const code = String((error as { code?: unknown }).code);
      if (code === permissionDenied) {
        log.warn('the indexes of the search cannot be made: the role may not create them');
        return;
      }
      if (!raced.includes(code))
        log.warn({ reason: reasonOf(error) }, 'the indexes of the search cannot be made yet');
    }
    await sleep(backoff(attempt), signal);
  }
};
