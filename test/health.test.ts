import { expect, test } from 'bun:test';
import { openDatabase } from '../src/database.ts';
import { createHealth } from '../src/http/health.ts';
import { createStore } from '../src/store.ts';
import { testDatabase, until } from './services.ts';

const ok = { ping: async () => {} };
const works = { state: 'works' } as const;
const off = { state: 'off' } as const;
const fine = { kafka: undefined, postgres: undefined };
const away = { kafka: 'Connection error: connect ECONNREFUSED', postgres: undefined };

test('all well is ready', async () => {
  const health = createHealth({ store: ok, redis: () => undefined, consumers: () => [fine] });
  expect(await health()).toEqual({ status: 'ready', parts: { postgres: works, redis: works, kafka: works } });
});

test('parts that the program runs without are off, and make it no less ready', async () => {
  const health = createHealth({ store: ok, redis: undefined, consumers: undefined });
  expect(await health()).toEqual({ status: 'ready', parts: { postgres: works, redis: off, kafka: off } });
});

test('Redis or Kafka away is degraded, with the reason', async () => {
  const withoutRedis = createHealth({ store: ok, redis: () => 'not connected', consumers: () => [fine] });
  expect(await withoutRedis()).toEqual({
    status: 'degraded',
    parts: { postgres: works, redis: { state: 'away', reason: 'not connected' }, kafka: works },
  });
  const withoutKafka = createHealth({ store: ok, redis: undefined, consumers: () => [fine, away] });
  expect(await withoutKafka()).toMatchObject({
    status: 'degraded',
    parts: { kafka: { state: 'away', reason: away.kafka } },
  });
  const starting = createHealth({ store: ok, redis: undefined, consumers: () => [] });
  expect(await starting()).toMatchObject({
    status: 'degraded',
    parts: { kafka: { reason: 'not reached yet' } },
  });
});

test('PostgreSQL away is unready, whatever else works, and ready again when it is back', async () => {
  let isAway = true;
  const ping = async () => {
    if (isAway) throw new Error('connect ECONNREFUSED\n    at secret.ts:1');
  };
  const health = createHealth({ store: { ping }, redis: () => undefined, consumers: () => [fine] });
  expect(await health()).toEqual({
    status: 'unready',
    parts: {
      postgres: { state: 'away', reason: 'connect ECONNREFUSED at secret.ts:1' },
      redis: works,
      kafka: works,
    },
  });
  isAway = false;
  expect((await health()).status).toBe('ready');
});

test('a PostgreSQL that does not answer is unready within a second, and is asked once by however many', async () => {
  let pings = 0;
  const answer = Promise.withResolvers<void>();
  const ping = () => {
    pings++;
    return answer.promise;
  };
  const health = createHealth({ store: { ping }, redis: undefined, consumers: undefined });
  const begun = performance.now();
  const states = await Promise.all(Array.from({ length: 100 }, health));
  expect(performance.now() - begun).toBeLessThan(1_500);
  for (const { status } of states) expect(status).toBe('unready');
  expect(states[0]?.parts.postgres.reason).toBe('no answer within 1000 ms');
  expect(pings).toBe(1);
  answer.resolve();
  await until(async () => (await health()).status === 'ready');
});

test.each([
  ['a wrong password', (url: URL) => Object.assign(url, { password: 'wr0ng-pa55' })],
  ['a wrong port', (url: URL) => Object.assign(url, { port: '1', password: 'wr0ng-pa55' })],
  ['a wrong database', (url: URL) => Object.assign(url, { pathname: '/nowhere' })],
])('%s is unready, and the reason holds no password', async (_, change) => {
  await using database = await testDatabase({ migrated: false });
  const url = change(new URL(database.url));
  const sql = openDatabase({ url: url.href, connections: 1, name: 'test' });
  const health = createHealth({ store: createStore(sql), redis: undefined, consumers: undefined });
  const state = await health();
  await sql.end({ timeout: 0 });
  // A server that trusts whoever comes from this machine asks for no password.
  if (state.status === 'ready') return expect(url.password).toBe('wr0ng-pa55');
  expect(state.status).toBe('unready');
  expect(state.parts.postgres.reason).toBeString();
  expect(JSON.stringify(state)).not.toContain('wr0ng-pa55');
  expect(JSON.stringify(state)).not.toContain(new URL(database.url).password || 'wr0ng-pa55');
});
