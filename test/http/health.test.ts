import { expect, test } from 'bun:test';
import { createHealth } from '../../src/http/health.ts';
import type { ConsumerState } from '../../src/ingest/thread.ts';
import { reasonOf } from '../../src/observability/error-reason.ts';
import { isReadOnly } from '../../src/postgres/errors.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';

const ok = { ping: async () => {} };
const isWarm = () => true;
const works = { state: 'works' } as const;
const off = { state: 'off' } as const;
const fine: ConsumerState = {
  name: 'consumer-1',
  kafka: undefined,
  postgres: undefined,
  isReadOnly: false,
  kafkaDegraded: undefined,
  offsets: undefined,
  thread: undefined,
};
const away = { ...fine, name: 'consumer-2', kafka: 'Connection error: connect ECONNREFUSED' };

test('with every part working the status is ready', async () => {
  const health = createHealth({ store: ok, redis: () => undefined, consumers: () => [fine], isWarm });
  expect(await health()).toEqual({
    status: 'ready',
    parts: { postgres: works, redis: works, kafka: works, consumers: works, offsets: works, cache: works },
  });
});

test('parts that the program runs without are off, and the status is ready', async () => {
  const health = createHealth({ store: ok, redis: undefined, consumers: undefined, isWarm: undefined });
  expect(await health()).toEqual({
    status: 'ready',
    parts: { postgres: works, redis: off, kafka: off, consumers: off, offsets: off, cache: off },
  });
});

test('a cache that is warming is shown, and the status is ready', async () => {
  const health = createHealth({ store: ok, redis: undefined, consumers: undefined, isWarm: () => false });
  expect(await health()).toMatchObject({ status: 'ready', parts: { cache: { state: 'warming' } } });
});

test('Redis or Kafka away is degraded, with the reason', async () => {
  const withoutRedis = createHealth({
    store: ok,
    redis: () => 'not connected',
    consumers: () => [fine],
    isWarm,
  });
  expect(await withoutRedis()).toEqual({
    status: 'degraded',
    parts: {
      postgres: works,
      redis: { state: 'away', reason: 'not connected' },
      kafka: works,
      consumers: works,
      offsets: works,
      cache: works,
    },
  });
  const withoutKafka = createHealth({
    store: ok,
    redis: undefined,
    consumers: () => [fine, away],
    isWarm,
  });
  expect(await withoutKafka()).toMatchObject({
    status: 'degraded',
    parts: { kafka: { state: 'away', reason: away.kafka } },
  });
  const starting = createHealth({ store: ok, redis: undefined, consumers: () => [], isWarm });
  expect(await starting()).toMatchObject({
    status: 'degraded',
    parts: { kafka: { reason: 'not reached yet' } },
  });
});

test('a degraded Kafka is degraded, with the reason, also in a process that only consumes', async () => {
  const limping = { ...fine, name: 'consumer-2', kafkaDegraded: 'a broker does not answer' };
  for (const one of [isWarm, undefined]) {
    const health = createHealth({
      store: ok,
      redis: undefined,
      consumers: () => [fine, limping],
      isWarm: one,
    });
    expect(await health()).toMatchObject({
      status: 'degraded',
      parts: { kafka: { state: 'degraded', reason: limping.kafkaDegraded }, consumers: works },
    });
  }
  const health = createHealth({ store: ok, redis: undefined, consumers: () => [limping, away], isWarm });
  expect(await health()).toMatchObject({ parts: { kafka: { state: 'away', reason: away.kafka } } });
});

test('a consumer whose thread has ended, or that cannot store, is degraded, with its name', async () => {
  const ended = { ...away, thread: 'it has ended and is started again' };
  const stuck = { ...fine, postgres: 'no space left on device' };
  for (const [consumer, reason] of [
    [ended, 'consumer-2: it has ended and is started again'],
    [stuck, 'consumer-1 waits for PostgreSQL: no space left on device'],
  ] as const) {
    const health = createHealth({
      store: ok,
      redis: undefined,
      consumers: () => [fine, consumer],
      isWarm,
    });
    expect(await health()).toMatchObject({
      status: 'degraded',
      parts: { consumers: { state: 'away', reason } },
    });
  }
});

test('a process that stores orders is unready while PostgreSQL is read-only; one that only answers lookups is not', async () => {
  await using database = await testDatabase({ connections: 1 });
  await database.sql`set default_transaction_read_only = on`;
  const store = createStore(database.sql);
  const error = await store.save([buildOrder()]).catch((error: unknown) => error);
  const waiting = { postgres: reasonOf(error), isReadOnly: isReadOnly(error) };
  const consumers = () => [fine, { ...fine, name: 'consumer-2', ...waiting }];
  const health = createHealth({ store, redis: undefined, consumers, isWarm });
  expect(await health()).toMatchObject({
    status: 'unready',
    parts: {
      postgres: works,
      consumers: { state: 'away', reason: 'consumer-2 waits for PostgreSQL: it is read-only (25006)' },
    },
  });
  const reading = createHealth({ store, redis: undefined, consumers: undefined, isWarm });
  expect((await reading()).status).toBe('ready');
});

test('a process that only consumes is unready while Kafka is away', async () => {
  const statusWith = async (...consumers: ConsumerState[]) =>
    (await createHealth({ store: ok, redis: undefined, consumers: () => consumers, isWarm: undefined })())
      .status;
  expect(await statusWith(fine)).toBe('ready');
  expect(await statusWith(fine, away)).toBe('unready');
  expect(await statusWith()).toBe('unready');
});

test('with PostgreSQL away the status is unready, and ready again when it is back', async () => {
  let isAway = true;
  const ping = async () => {
    if (isAway) throw Object.assign(new Error('connect db.internal:5432'), { code: 'ECONNREFUSED' });
  };
  const health = createHealth({
    store: { ping },
    redis: () => undefined,
    consumers: () => [fine],
    isWarm,
  });
  expect(await health()).toEqual({
    status: 'unready',
    parts: {
      postgres: { state: 'away', reason: 'connection refused (ECONNREFUSED)' },
      redis: works,
      kafka: works,
      consumers: works,
      offsets: works,
      cache: works,
    },
  });
  isAway = false;
  expect((await health()).status).toBe('ready');
});

test('a process that has begun to stop is stopping, even if everything works', async () => {
  const stop = new AbortController();
  const health = createHealth({
    store: ok,
    redis: undefined,
    consumers: undefined,
    isWarm: () => true,
    stopping: stop.signal,
  });
  expect((await health()).status).toBe('ready');
  stop.abort();
  expect(await health()).toMatchObject({ status: 'stopping', parts: { postgres: works } });
});

test('a PostgreSQL that does not answer is unready within a second, and concurrent checks share one ping', async () => {
  let pings = 0;
  const answer = Promise.withResolvers<void>();
  const ping = () => {
    pings++;
    return answer.promise;
  };
  const health = createHealth({ store: { ping }, redis: undefined, consumers: undefined, isWarm });
  const begun = performance.now();
  const states = await Promise.all(Array.from({ length: 100 }, health));
  // 1 s for all of them, and what a busy machine may add.
  expect(performance.now() - begun).toBeLessThan(5_000);
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
])('%s is unready, and the reason contains no password', async (_, change) => {
  await using database = await testDatabase({ migrated: false });
  const url = change(new URL(database.url));
  const sql = openDatabase({ url: url.href, connections: 1, name: 'test' });
  const health = createHealth({
    store: createStore(sql),
    redis: undefined,
    consumers: undefined,
    isWarm,
  });
  const state = await health();
  await sql.end({ timeout: 0 });
  // A server that trusts local connections needs no password.
  if (state.status === 'ready') return expect(url.password).toBe('wr0ng-pa55');
  expect(state.status).toBe('unready');
  expect(state.parts.postgres.reason).toBeString();
  expect(JSON.stringify(state)).not.toContain('wr0ng-pa55');
  expect(JSON.stringify(state)).not.toContain(new URL(database.url).password || 'wr0ng-pa55');
});
