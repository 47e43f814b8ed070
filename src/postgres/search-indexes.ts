import type { Sql } from 'postgres';
import type { Log } from '../observability/log.ts';
import { type Index, keepIndexes, keepIndexesOf, readyIndexes } from './indexes.ts';
import { type SearchField, searchFieldNames, searchFields } from './search.ts';

const nameOf = (field: SearchField) => `console_search_${field}`;
const known: Index[] = searchFieldNames.map((field) => ({ name: nameOf(field), ...searchFields[field] }));
const indexesOf = (fields: ReadonlySet<SearchField>) => ({
  known,
  needed: new Set([...fields].map(nameOf)),
});

/** The fields whose index is complete. Rejects with the driver's error. */
export const readyFields = async (sql: Sql): Promise<Set<SearchField>> => {
  const ready = await readyIndexes(
    sql,
    known.map(({ name }) => name),
  );
  return new Set(searchFieldNames.filter((field) => ready.has(nameOf(field))));
};

/** Makes the indexes of `fields`, and drops those of other fields, by `keepIndexes`. */
export const keepSearchIndexes = (
  sql: Sql,
  fields: ReadonlySet<SearchField>,
  log: Log,
  signal: AbortSignal,
): Promise<boolean> => keepIndexes(sql, indexesOf(fields), log, signal);

/** As `keepSearchIndexes`, on a connection of its own to the database at `url`. */
export const keepSearchIndexesOf = (
  url: string,
  fields: ReadonlySet<SearchField>,
  log: Log,
  signal: AbortSignal,
): Promise<boolean> => keepIndexesOf(url, indexesOf(fields), log, signal);
