import { describe, expect, test } from 'bun:test';
import { createFeed } from '../../src/http/feed.ts';
import { createLookup, type Lookup } from '../../src/lookup/lookup.ts';
import { createMemoryCache } from '../../src/lookup/memory-cache.ts';
import { encodeOrder } from '../../src/order/encoded-order.ts';
import { createStore } from '../../src/postgres/store.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { json, openApp, order, path, ready, unavailable } from '../support/open-app.ts';

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const securityNames = ['content-security-policy', 'x-content-type-options'];
const expectProblem = async (response: Response, status: number) => {
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const body = await response.json();
  expect(body).toEqual({
    type: 'about:blank',
    status,
    title: expect.any(String),
    detail: expect.any(String),
    requestId: response.headers.get('x-request-id'),
  });
  return JSON.stringify(body);
};

describe('GET /order/:uid', () => {
  test('returns exactly the order, and the tier that it was found in', async () => {
    const { get } = openApp();
    const first = await get(path);
    expect(first.status).toBe(200);
    expect(first.headers.get('content-type')).toBe('application/json');
    expect(first.headers.get('cache-control')).toBe('private');
    expect(first.headers.get('cache-status')).toBe('memory; fwd=miss');
    expect(first.headers.get('server-timing')).toMatch(/^memory;dur=\d+\.\d{3}, postgres;dur=\d+\.\d{3}$/);
    expect(await first.text()).toBe(json);
    const second = await get(path);
    expect(second.headers.get('cache-status')).toBe('memory; hit');
    expect(second.headers.get('server-timing')).toMatch(/^memory;dur=\d+\.\d{3}$/);
    expect(await second.text()).toBe(json);
  });

  test.each([
    [[], 'memory; fwd=miss, redis; hit', 'redis'],
    [[{ bypassed: true }], 'memory; fwd=miss, redis; fwd=bypass', 'postgres'],
    [[{}], 'memory; fwd=miss, redis; fwd=miss', 'postgres'],
  ])('Cache-Status lists the tiers that were asked, in order: %j', async (redis, cacheStatus, last) => {
    const step = (tier: string, hit: boolean, more: object = {}) => ({ tier, hit, durationMs: 1, ...more });
    const steps = [
      step('memory', false),
      ...redis.map((more) => step('redis', false, more)),
      step(last, true),
    ];
    const document = encodeOrder(json);
    const lookup = { find: () => ({ document, steps }), lastHitMs: () => undefined } as unknown as Lookup;
    expect((await openApp({ lookup }).get(path)).headers.get('cache-status')).toBe(cacheStatus);
  });

  test('an unknown order is 404, with the tiers that were asked and without the number', async () => {
    const { get } = openApp();
    const response = await get('/order/%3Cscript%3Ealert(1)');
    expect(response.headers.get('cache-status')).toBe('memory; fwd=miss');
    expect(response.headers.get('etag')).toBeNull();
    expect(await expectProblem(response, 404)).not.toContain('script');
  });

  test.each([
    'short',
    'a'.repeat(9),
    'a'.repeat(51),
    'a'.repeat(10_000),
    '%F0%9F%9A%9A'.repeat(51),
    'aaaaaaaaaaaa%00',
    '%00'.repeat(12),
    'aaaaaaaaaaaa%',
    'aaaaaaaaaaaa%4',
    'aaaaaaaaaaaa%zz',
    'aaaaaaaaaaaa%C0%AF',
    'aaaaaaaaaaaa%E0%80%AF',
    'aaaaaaaaaaaa%ED%A0%80',
    'aaaaaaaaaaaa%FF',
    'aaaaaaaaaaaa%F4%90%80%80',
  ])('a malformed number is 400, and PostgreSQL is not queried: %s', async (uid) => {
    const { get, asked } = openApp();
    await expectProblem(await get(`/order/${uid}`), 400);
    expect(asked).toEqual([]);
  });

  test.each([
    ['..%2F..%2Fetc%2Fpasswd', '../../etc/passwd'],
    ['%2e%2e%2f%2e%2e%2fhealthz', '../../healthz'],
    ['%D0%97%D0%B0%D0%BA%D0%B0%D0%B7%20%E2%84%961234', 'Заказ №1234'],
    ['%F0%9F%9A%9A'.repeat(10), '🚚'.repeat(10)],
    ['%F0%9F%9A%9A'.repeat(50), '🚚'.repeat(50)],
    ["'%3B%20drop%20table%20orders%3B--", "'; drop table orders;--"],
    ['a+b%2Bc%26d%3De%3Ff%23g', 'a+b+c&d=e?f#g'],
    ['%2500%2500%2500%2500', '%00%00%00%00'],
    ['{orders}:queue', '{orders}:queue'],
    ['__proto__--', '__proto__--'],
  ])('a number may contain anything, such as %s', async (written, uid) => {
    const { get, asked, orders } = openApp();
    await expectProblem(await get(`/order/${written}`), 404);
    expect(asked).toEqual([uid]);
    const other = { ...order, order_uid: [...uid].with(-1, 'x').join('') };
    orders.set(other.order_uid, JSON.stringify(other));
    const found = await get(`/order/${encodeURIComponent(other.order_uid)}`);
    expect(await found.json()).toEqual(other as never);
  });

  test('an unavailable order is 503 with Retry-After, and without the cause', async () => {
    const response = await openApp({ lookup: unavailable }).get(path);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await expectProblem(response, 503)).not.toMatch(/select|secret|password/);
  });

  test('the entity tag is strong, stays the same, and differs between orders', async () => {
    const { get, orders } = openApp();
    const etag = (await get(path)).headers.get('etag');
    expect(etag).toMatch(/^"[\x21\x23-\x7e]+"$/);
    expect((await openApp().get(path)).headers.get('etag')).toBe(etag);
    orders.set('another-order', JSON.stringify({ ...order, order_uid: 'another-order' }));
    expect((await get('/order/another-order')).headers.get('etag')).not.toBe(etag);
  });

  test.each([
    [(tag: string) => tag, 304],
    [(tag: string) => `W/${tag}`, 304],
    [(tag: string) => `"other", ${tag}`, 304],
    [(tag: string) => `"other",W/${tag} , "third"`, 304],
    [() => '*', 304],
    [() => ' * ', 304],
    [() => '"other"', 200],
    [() => '', 200],
    [(tag: string) => tag.slice(1, -1), 200],
    [(tag: string) => `${tag}x`, 200],
  ])('If-None-Match, case %#: %p', async (given, status) => {
    const { get } = openApp();
    const etag = (await get(path)).headers.get('etag') ?? '';
    const response = await get(path, { headers: { 'if-none-match': given(etag) } });
    expect(response.status).toBe(status);
    expect(response.headers.get('etag')).toBe(etag);
    expect(response.headers.get('cache-control')).toBe('private');
    expect(response.headers.get('cache-status')).toBe('memory; hit');
    expect(await response.text()).toBe(status === 304 ? '' : json);
  });

  test('If-None-Match: * does not turn 404 into 304', async () => {
    await expectProblem(
      await openApp().get('/order/no-such-order', { headers: { 'if-none-match': '*' } }),
      404,
    );
  });

  test('returns the order that PostgreSQL stores', async () => {
    await using database = await testDatabase();
    const store = createStore(database.sql);
    await store.save([order]);
    const { get } = openApp({
      lookup: createLookup({ memory: createMemoryCache(1), redis: undefined, store }),
    });
    expect(await (await get(path)).json()).toEqual(order as never);
  });
});

describe('any route', () => {
  const routes = (app: ReturnType<typeof openApp>['app']) =>
    app.routes
      .filter(({ method, path }) => method === 'GET' && path !== '/events')
      .map((route) => route.path.replace(':uid', order.order_uid));

  test('has the security headers, whatever it answers', async () => {
    const feed = createFeed();
    const { app, get } = openApp({ feed });
    for (const url of [
      ...routes(app),
      '/events',
      '/order/short',
      '/order/no-such-order',
      '/nothing',
      '/?uid=short',
    ])
      for (const method of ['GET', 'HEAD', 'POST']) {
        const response = await get(url, { method });
        for (const name of securityNames)
          expect([url, method, name, response.headers.has(name)]).toContain(true);
        await response.body?.cancel();
      }
    feed.close();
  });

  test('a method that is not allowed is 405, with those that are', async () => {
    const { app, get } = openApp();
    for (const url of routes(app))
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const response = await get(url, { method });
        expect([url, response.headers.get('allow')?.split(', ').toSorted()]).toEqual([url, ['GET', 'HEAD']]);
        await expectProblem(response, 405);
      }
  });

  test.each([
    '/nothing',
    '/order',
    '/order/',
    '/order//',
    `/${path}`,
    '/order/a/b',
    '/swagger/x',
    '/assets/../src',
    '/%00',
    '/events',
  ])('%s is 404', async (url) => {
    const { get, asked } = openApp();
    await expectProblem(await get(url), 404);
    expect(asked).toEqual([]);
  });

  test.each([`${path}?a=b`, `${path}?uid=/x/../y`, `${path}/`, `/order/b563feb7b2b84b6%74est`])(
    '%s is the order',
    async (url) => {
      expect(await (await openApp().get(url)).text()).toBe(json);
    },
  );

  test('an unexpected error is 500 without details; the log has its kind and place, and nothing of an order', async () => {
    const secret = 'Иван Петров, +79001234567';
    const lookup = {
      find() {
        throw Object.assign(new TypeError(`cannot read ${secret}\n  of ${secret}`), {
          detail: secret,
          query: secret,
        });
      },
      findAll: () => Promise.reject(new TypeError(`cannot read ${secret}`)),
      findOtherCases: () => Promise.reject(new TypeError(`cannot read ${secret}`)),
      lastHitMs: () => undefined,
    } as Lookup;
    const { get, logged } = openApp({
      lookup,
      readMetrics: () => Promise.reject(new Error(secret)),
      health: () => Promise.reject(secret),
    });
    for (const url of [path, '/metrics', '/readyz'])
      expect(await expectProblem(await get(url), 500)).not.toContain('Иван');
    expect(logged).toHaveLength(3);
    expect(logged[0]).toEqual([
      {
        requestId: expect.stringMatching(uuid),
        method: 'GET',
        name: 'TypeError',
        code: undefined,
        at: expect.arrayContaining([expect.stringContaining('app.test.ts')]),
      },
      'a request failed',
    ]);
    expect(JSON.stringify(logged)).not.toMatch(/Иван|7900/);
  });

  test('readiness is 503 only when lookups cannot be answered', async () => {
    for (const [status, code] of [
      ['ready', 200],
      ['degraded', 200],
      ['unready', 503],
    ] as const) {
      const response = await openApp({ health: async () => ({ ...ready, status }) }).get('/readyz');
      expect([response.status, response.headers.get('cache-control')]).toEqual([code, 'no-store']);
      expect(await response.json()).toEqual({ ...ready, status });
    }
    const alive = await openApp({ lookup: unavailable }).get('/healthz');
    expect([alive.status, await alive.json()]).toEqual([200, { status: 'alive' }]);
  });

  test('metrics are in the text format of Prometheus', async () => {
    const response = await openApp().get('/metrics');
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toBe('orders_lookups_total 1\n');
  });
});
