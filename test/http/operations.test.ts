import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import { createApp } from '../../src/http/app.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createHealthzRoute } from '../../src/http/routes/healthz.ts';
import { createMetricsRoute } from '../../src/http/routes/metrics.ts';
import { createReadyzRoute } from '../../src/http/routes/readyz.ts';
import { brokers, silent, testDatabase, topicName, until } from '../support/kafka-and-postgres.ts';
import { startProgram } from '../support/program.ts';

// A process starts, and its group forms in seconds.
setDefaultTimeout(60_000);

const works = { state: 'works' } as const;
const parts = { postgres: works, redis: works, kafka: works, consumers: works, offsets: works, cache: works };

type Metrics = Parameters<typeof createMetricsRoute>[0];

/** The app of a process that answers no lookups. */
const open = (change: Partial<Metrics> = {}, log = silent) => {
  const app = createApp({
    routes: [
      createHealthzRoute(),
      createReadyzRoute(async () => ({ status: 'ready' as const, parts })),
      createMetricsRoute({ read: async () => 'a 1\n', token: null, ...change }),
    ],
    checkHost: createHostCheck({ names: null, loopbackOnly: true }),
    trustedProxies: 0,
    log,
  });
  return async (path: string, method = 'GET', headers = {}, address = '10.0.0.1') =>
    app.fetch(new Request(`http://localhost${path}`, { method, headers }), () => address);
};

test('health, readiness and metrics are the only routes', async () => {
  const get = open();
  expect(await (await get('/healthz')).json()).toEqual({ status: 'alive' });
  expect(await (await get('/readyz?verbose')).json()).toEqual({ status: 'ready', parts });
  expect(await (await get('/metrics')).text()).toBe('a 1\n');
  for (const path of [
    '/',
    '/order/b563feb7b2b84b6test',
    '/swagger',
    '/events',
    '/constructor',
    '/healthz/',
  ]) {
    const response = await get(path);
    expect([path, response.status]).toEqual([path, 404]);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  }
});

test('another method is 405, with the methods that are allowed', async () => {
  const get = open();
  expect((await get('/readyz', 'HEAD')).status).toBe(200);
  const response = await get('/metrics', 'POST');
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
});

test('concurrent scrapes share one reading of the metrics, and the next one reads again', async () => {
  let reads = 0;
  let gate = Promise.withResolvers<void>();
  const read = async () => {
    reads++;
    await gate.promise;
    return `a ${reads}\n`;
  };
  const get = open({ read });
  const asked = Array.from({ length: 50 }, async () => (await get('/metrics')).text());
  gate.resolve();
  expect(await Promise.all(asked)).toEqual(Array(50).fill('a 1\n'));
  gate = Promise.withResolvers<void>();
  gate.resolve();
  expect(await (await get('/metrics')).text()).toBe('a 2\n');
});

test('an error is logged, and its message is neither logged nor answered', async () => {
  const logged: unknown[] = [];
  const log: typeof silent = Object.assign(Object.create(silent), {
    error: (...line: unknown[]) => logged.push(line),
  });
  const response = await open({ read: () => Promise.reject(new Error('s3cret')) }, log)('/metrics');
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('s3cret');
  expect(JSON.stringify(logged)).not.toContain('s3cret');
  expect(logged).toHaveLength(1);
});

describe('metrics with a token', () => {
  const token = 's3cret-T0ken-long';
  const ask = (authorization?: string) =>
    open({ token })('/metrics', 'GET', {
      ...(authorization && { authorization }),
    });

  test.each([`Bearer ${token}`, `bearer  ${token}`])('%s reads them', async (authorization) => {
    const response = await ask(authorization);
    expect([response.status, await response.text()]).toEqual([200, 'a 1\n']);
  });

  test.each([
    undefined,
    'Bearer',
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${token.toLowerCase()}`,
    `Basic ${btoa(`prometheus:${token}`)}`,
    token,
  ])('%j is 401, without a hint', async (authorization) => {
    const response = await ask(authorization);
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="metrics"',
    ]);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.text()).not.toContain(token);
  });

  test('a client that has sent ten wrong ones is rejected for a while; others are not', async () => {
    const get = open({ token });
    const ask = (given: string | undefined, address: string) =>
      get('/metrics', 'GET', given === undefined ? {} : { authorization: `Bearer ${given}` }, address);
    // Neither a missing nor a right token counts.
    for (let asked = 0; asked < 20; asked++) {
      expect((await ask(undefined, '10.0.0.1')).status).toBe(401);
      expect((await ask(token, '10.0.0.1')).status).toBe(200);
    }
    const wrong = await Promise.all(
      Array.from({ length: 12 }, (_, number) => ask(`${token}${number}`, '10.0.0.1')),
    );
    expect(wrong.map(({ status }) => status)).toEqual([...Array(10).fill(401), 429, 429]);
    expect(Number(wrong[11]?.headers.get('retry-after'))).toBeWithin(1, 7);
    expect(wrong[11]?.headers.get('content-type')).toBe('application/problem+json');
    expect((await ask(token, '10.0.0.1')).status).toBe(429);
    expect((await ask(token, '10.0.0.2')).status).toBe(200);
  });

  test('health needs none', async () => {
    expect((await open()('/healthz')).status).toBe(200);
  });
});

test('a process that only consumes answers probes and scrapes, and nothing else', async () => {
  await using database = await testDatabase({ migrated: false });
  const topic = topicName();
  await using program = startProgram({
    KAFKA_BROKERS: (await brokers()).join(','),
    KAFKA_TOPIC: topic,
    KAFKA_DLQ_TOPIC: `${topic}_dlq`,
    KAFKA_GROUP_ID: `${topic}_group`,
    KAFKA_PARTITIONS: '1',
    DATABASE_URL: database.url,
    REDIS_URL: 'redis://127.0.0.1:1',
    SERVE: 'consumer',
  });
  const url = await program.url();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, 30_000);
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({
    status: 'ready',
    // Only lookups need Redis.
    parts: {
      postgres: works,
      redis: { state: 'off' },
      kafka: works,
      consumers: works,
      offsets: works,
      cache: { state: 'off' },
    },
  });
  expect(await (await fetch(`${url}/metrics`)).text()).toContain('orders_stored_total');
  expect((await fetch(`${url}/`)).status).toBe(404);
  expect((await program.stop('SIGTERM')).status).toBe(0);
  expect(program.faults()).toEqual([]);
});
