import { expect, test } from 'bun:test';
import { openDatabase, poolOf } from '../../src/postgres/pool.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';

test('a pool reports how many connections are busy and how many queries wait', async () => {
  await using database = await testDatabase({ migrated: false });
  const sql = openDatabase({ url: database.url, connections: 2, name: 'test' });
  expect(poolOf(sql)).toEqual({ connecting: 0, idle: 0, busy: 0, waiting: 0 });
  await Promise.all([sql`select pg_sleep(0.1)`, sql`select pg_sleep(0.1)`]);
  await until(() => poolOf(sql).idle === 2);
  const queries = await database.sql.begin(async (other) => {
    await other`select pg_advisory_xact_lock(1)`;
    const waiting = Array.from({ length: 5 }, () => sql`select pg_advisory_lock_shared(1)`.execute());
    await until(() => poolOf(sql).busy === 2 && poolOf(sql).waiting === 3);
    return { waiting };
  });
  await Promise.all(queries.waiting);
  await until(() => poolOf(sql).idle === 2);
  expect(poolOf(sql)).toEqual({ connecting: 0, idle: 2, busy: 0, waiting: 0 });
  await sql.end({ timeout: 1 });
  expect(poolOf(sql)).toEqual({ connecting: 0, idle: 0, busy: 0, waiting: 0 });
});
