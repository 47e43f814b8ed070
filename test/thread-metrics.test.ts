import { expect, test } from 'bun:test';
import { Registry } from 'prom-client';
import { openDatabase, poolOf } from '../src/database.ts';
import { addThreadMetrics } from '../src/metrics/thread.ts';
import { readSamples } from './samples.ts';
import { testDatabase, until } from './services.ts';

test('a pool tells how many connections are busy, and how many queries wait', async () => {
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

test('an event loop that is held up is seen to be late', async () => {
  await using database = await testDatabase({ migrated: false });
  const registry = new Registry();
  const { stop } = addThreadMetrics({ registry, sql: database.sql, connections: 1 });
  const late = async (bound: number) => {
    const samples = readSamples(await registry.metrics());
    const count = samples.find(({ name }) => name === 'event_loop_lag_seconds_count')?.value ?? 0;
    const within = samples.find(({ labels }) => labels.le === String(bound))?.value ?? 0;
    return count - within;
  };
  expect(await late(0.25)).toBe(0);
  const until400ms = performance.now() + 400;
  while (performance.now() < until400ms);
  await until(async () => (await late(0.25)) === 1);
  stop();
});
