import type { Sql } from 'postgres';
import { type Index, type Indexes, readyIndexes } from './indexes.ts';
import { type SearchField, searchFieldNames, searchFields } from './search.ts';

const nameOf = (field: SearchField) => `console_search_${field}`;
const known: Index[] = searchFieldNames.map((field) => ({ name: nameOf(field), ...searchFields[field] }));

/** For `keepIndexes`: the indexes of `fields` are needed, those of other fields are not. */
export const searchIndexes = (fields: Iterable<SearchField>): Indexes => ({
  known,
  needed: new Set([...fields].map(nameOf)),
});

/** The fields whose index is complete. Rejects with the driver's error. */
export const readyFields = async (sql: Sql): Promise<Set<SearchField>> => {
  const ready = await readyIndexes(sql, known);
  return new Set(searchFieldNames.filter((field) => ready.has(nameOf(field))));
};
