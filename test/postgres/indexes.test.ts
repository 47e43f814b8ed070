/** Indexes that only some configurations need, where the tables are not in the first schema of the search path, or in one of any name. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { expiryIndex } from '../../src/postgres/expiry.ts';
import { keepIndexes, readyIndexes } from '../../src/postgres/indexes.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { silent, testDatabase } from '../support/kafka-and-postgres.ts';

setDefaultTimeout(60_000);

test.each([
  ['in a schema with capital letters', '"Orders"', 'before'],
  ['in public, behind a schema that was made later', 'later', 'after'],
])('an index is made, found and dropped where the tables are %s', async (_, schema, made) => {
  await using database = await testDatabase({
    migrated: false,
    settings: { search_path: `${schema}, public` },
  });
  const { sql } = database;
  const create = () => sql.unsafe(`create schema ${schema}`);
  if (made === 'before') await create();
  await migrate(sql, silent);
  if (made === 'after') await create();
  const keep = (needed: string[]) => {
    const indexes = { known: [expiryIndex], needed: new Set(needed) };
    return keepIndexes(sql, indexes, silent, AbortSignal.timeout(10_000));
  };
  const { name } = expiryIndex;

  expect(await keep([name])).toBe(true);
  expect(await readyIndexes(sql, [expiryIndex])).toEqual(new Set([name]));
  await sql`update pg_index set indisvalid = false where indexrelid = to_regclass(${name})`;
  expect(await keep([name])).toBe(true);
  expect(await readyIndexes(sql, [expiryIndex])).toEqual(new Set([name]));
  expect(await keep([])).toBe(true);
  expect(await readyIndexes(sql, [expiryIndex])).toEqual(new Set());
  const left = await sql`select from pg_class where relname = ${name}`;
  expect(left).toHaveLength(0);
});
