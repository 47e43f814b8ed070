import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { createMemoryCache } from '../src/cache/memory.ts';
import { createApp } from '../src/http/app.ts';
import { createFeed } from '../src/http/feed.ts';
import { listen } from '../src/http/server.ts';
import type { Log } from '../src/log.ts';
import { createLookup, type Lookup, Unavailable } from '../src/lookup.ts';
import { createStore } from '../src/store.ts';
import { buildOrder } from './build-order.ts';
import { silent, testDatabase } from './services.ts';

const order = buildOrder({ order_uid: 'b563feb7b2b84b6test' });
const path = `/order/${order.order_uid}`;
const json = JSON.stringify(order);

const works = { state: 'works' } as const;
const parts = { postgres: works, redis: works, kafka: works, consumers: works };
const ready = { status: 'ready', parts } as const;

/** An app on orders in a Map. */
const open = (parts: Partial<Parameters<typeof createApp>[0]> = {}) => {
  const orders = new Map([[order.order_uid, json]]);
  const asked: string[] = [];
  const find = async (uid: string) => {
    asked.push(uid);
    return orders.get(uid);
  };
  const logged: unknown[] = [];
  const log = { ...silent, error: (...line: unknown[]) => logged.push(line) } as Log;
  const app = createApp({
    lookup: createLookup({ memory: createMemoryCache(100), redis: undefined, store: { find } }),
    health: async () => ready,
    metrics: async () => 'orders_lookups_total 1\n',
    feed: undefined,
    log,
    ...parts,
  });
  const get = async (url: string, init: RequestInit = {}) =>
    app.fetch(new Request(`http://localhost${url}`, init));
  return { app, orders, asked, logged, get };
};

const unavailable: Lookup = {
  find: async () => {
    throw new Unavailable('select document from orders failed', { cause: new Error('password=secret') });
  },
  lastHit: () => undefined,
};

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
  });
  return JSON.stringify(body);
};

describe('GET /order/:uid', () => {
  test('gives exactly the order, and says where it was found', async () => {
    const { get } = open();
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
  ])('writes the way as the contract has it: %j', async (redis, cacheStatus, last) => {
    const step = (tier: string, hit: boolean, more: object = {}) => ({ tier, hit, duration: 1, ...more });
    const steps = [
      step('memory', false),
      ...redis.map((more) => step('redis', false, more)),
      step(last, true),
    ];
    const document = { body: new TextEncoder().encode(json), etag: '"x"' };
    const lookup = { find: () => ({ document, steps }), lastHit: () => undefined } as unknown as Lookup;
    expect((await open({ lookup }).get(path)).headers.get('cache-status')).toBe(cacheStatus);
  });

  test('an unknown order is 404, with the way, and does not repeat the number', async () => {
    const { get } = open();
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
  ])('a malformed number is 400, and nobody is asked: %s', async (uid) => {
    const { get, asked } = open();
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
  ])('a number may hold anything, as %s', async (written, uid) => {
    const { get, asked, orders } = open();
    await expectProblem(await get(`/order/${written}`), 404);
    expect(asked).toEqual([uid]);
    const other = { ...order, order_uid: [...uid].with(-1, 'x').join('') };
    orders.set(other.order_uid, JSON.stringify(other));
    const found = await get(`/order/${encodeURIComponent(other.order_uid)}`);
    expect(await found.json()).toEqual(other as never);
  });

  test('what cannot be told now is 503, within the contract, and says nothing of why', async () => {
    const response = await open({ lookup: unavailable }).get(path);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await expectProblem(response, 503)).not.toMatch(/select|secret|password/);
  });

  test('the tag is strong, stays the same, and is another for another order', async () => {
    const { get, orders } = open();
    const etag = (await get(path)).headers.get('etag');
    expect(etag).toMatch(/^"[\x21\x23-\x7e]+"$/);
    expect((await open().get(path)).headers.get('etag')).toBe(etag);
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
    const { get } = open();
    const etag = (await get(path)).headers.get('etag') ?? '';
    const response = await get(path, { headers: { 'if-none-match': given(etag) } });
    expect(response.status).toBe(status);
    expect(response.headers.get('etag')).toBe(etag);
    expect(response.headers.get('cache-control')).toBe('private');
    expect(response.headers.get('cache-status')).toBe('memory; hit');
    expect(await response.text()).toBe(status === 304 ? '' : json);
  });

  test('If-None-Match: * does not hide that there is no such order', async () => {
    await expectProblem(await open().get('/order/no-such-order', { headers: { 'if-none-match': '*' } }), 404);
  });

  test('on PostgreSQL gives what was stored', async () => {
    await using database = await testDatabase();
    const store = createStore(database.sql);
    await store.save([order]);
    const { get } = open({ lookup: createLookup({ memory: createMemoryCache(1), redis: undefined, store }) });
    expect(await (await get(path)).json()).toEqual(order as never);
  });
});

describe('any route', () => {
  const routes = (app: ReturnType<typeof open>['app']) =>
    app.routes
      .filter(({ method, path }) => method === 'GET' && path !== '/events')
      .map((route) => route.path.replace(':uid', order.order_uid));

  test('carries the security headers, whatever it answers', async () => {
    const feed = createFeed();
    const { app, get } = open({ feed });
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

  test('a method that is not possible is 405 and names those that are', async () => {
    const { app, get } = open();
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
    const { get, asked } = open();
    await expectProblem(await get(url), 404);
    expect(asked).toEqual([]);
  });

  test.each([`${path}?a=b`, `${path}?uid=/x/../y`, `${path}/`, `/order/b563feb7b2b84b6%74est`])(
    '%s is the order',
    async (url) => {
      expect(await (await open().get(url)).text()).toBe(json);
    },
  );

  test('an error of ours is 500 and says nothing; the log has its kind and place, and nothing of an order', async () => {
    const secret = 'Иван Петров, +79001234567';
    const lookup = {
      find() {
        throw Object.assign(new TypeError(`cannot read ${secret}\n  of ${secret}`), {
          detail: secret,
          query: secret,
        });
      },
      lastHit: () => undefined,
    } as Lookup;
    const { get, logged } = open({
      lookup,
      metrics: () => Promise.reject(new Error(secret)),
      health: () => Promise.reject(secret),
    });
    for (const url of [path, '/metrics', '/readyz'])
      expect(await expectProblem(await get(url), 500)).not.toContain('Иван');
    expect(logged).toHaveLength(3);
    expect(logged[0]).toEqual([
      {
        method: 'GET',
        name: 'TypeError',
        code: undefined,
        at: expect.arrayContaining([expect.stringContaining('http.test.ts')]),
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
      const response = await open({ health: async () => ({ ...ready, status }) }).get('/readyz');
      expect([response.status, response.headers.get('cache-control')]).toEqual([code, 'no-store']);
      expect(await response.json()).toEqual({ ...ready, status });
    }
    const alive = await open({ lookup: unavailable }).get('/healthz');
    expect([alive.status, await alive.json()]).toEqual([200, { status: 'alive' }]);
  });

  test('metrics are as Prometheus reads them', async () => {
    const response = await open().get('/metrics');
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toBe('orders_lookups_total 1\n');
  });
});

type Paths = { paths: Record<string, Record<string, { responses: object }>> };

describe('the OpenAPI document', () => {
  const document = async () => (await (await open().get('/swagger/json')).json()) as Paths;

  test('is valid, and of version 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(await document());
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  test('documents the contract, and every status that it names can be had', async () => {
    const { paths } = await document();
    const documented = Object.entries(paths).flatMap(([url, methods]) =>
      Object.entries(methods).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method} ${url} ${status}`),
      ),
    );
    const { get } = open();
    const etag = (await get(path)).headers.get('etag') ?? '';
    const answers: [string, Response][] = [
      ['get /order/{uid}', await get(path)],
      ['get /order/{uid}', await get(path, { headers: { 'if-none-match': etag } })],
      ['get /order/{uid}', await get('/order/short')],
      ['get /order/{uid}', await get('/order/no-such-order')],
      ['get /order/{uid}', await open({ lookup: unavailable }).get(path)],
      ['get /healthz', await get('/healthz')],
      ['get /readyz', await get('/readyz')],
      ['get /readyz', await open({ health: async () => ({ ...ready, status: 'unready' }) }).get('/readyz')],
    ];
    expect(documented.toSorted()).toEqual(
      answers.map(([route, { status }]) => `${route} ${status}`).toSorted(),
    );
  });

  test('Swagger UI names no other host, and every file it names is there', async () => {
    const { get } = open();
    const page = await (await get('/swagger')).text();
    const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url as string);
    expect(page).not.toMatch(/https?:|<script>|<style>|style="/);
    expect(files.filter((url) => url.startsWith('/'))).toHaveLength(3);
    for (const url of files.filter((file) => file.startsWith('/'))) expect((await get(url)).status).toBe(200);
  });
});

describe('on a socket', () => {
  const feed = createFeed();
  const { app } = open({ feed });
  let server: ReturnType<typeof listen>;
  beforeAll(() => {
    server = listen(app, { port: 0, host: '127.0.0.1' });
  });
  afterAll(async () => {
    feed.close();
    await server.stop();
  });

  /** Sends bytes, and resolves with what came until the server closed, or with what came until `isEnough`. */
  const send = (bytes: string | Uint8Array, isEnough = (_: string) => false) =>
    new Promise<string>((resolve, reject) => {
      let answer = '';
      const socket = Bun.connect({
        hostname: '127.0.0.1',
        port: server.port,
        socket: {
          open: (opened) => void opened.write(bytes),
          data(opened, part) {
            answer += part.toString('latin1');
            if (!isEnough(answer)) return;
            opened.end();
            resolve(answer);
          },
          close: () => resolve(answer),
          error: () => resolve(answer),
        },
      });
      socket.catch(reject);
    });
  const ask = (method: string, url: string, headers = '') =>
    send(Buffer.from(`${method} ${url} HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`));
  const split = (answer: string) => {
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    const [status = '', ...lines] = head.split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 2),
      ]),
    );
    return { status: Number(status.split(' ')[1]), headers, body };
  };

  test('HEAD is GET without the body: same status, same headers, same length', async () => {
    const urls = app.routes.filter(({ method }) => method === 'GET').map((route) => route.path);
    for (const url of [...urls, path, '/order/short', '/order/no-such-order', '/nothing']) {
      if (url === '/events' || url.includes(':')) continue;
      const gotten = split(await ask('GET', url));
      const head = split(await ask('HEAD', url));
      const vary = ['date', 'server-timing', 'connection', 'cache-status'];
      for (const name of vary) for (const { headers } of [gotten, head]) delete headers[name];
      expect([url, head.status, head.body]).toEqual([url, gotten.status, '']);
      expect([url, head.headers]).toEqual([url, gotten.headers]);
      expect([url, Number(gotten.headers['content-length'])]).toEqual([
        url,
        Buffer.byteLength(gotten.body, 'latin1'),
      ]);
    }
  });

  test('HEAD of the live list ends, and counts no reader', async () => {
    expect(split(await ask('HEAD', '/events'))).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
    });
    expect(feed.readers()).toBe(0);
  });

  test.each(['x', 'app', 'a.b', 'localhost', '127.0.0.1', '[::1]:80', 'a.very.long.name.example.org:8081'])(
    'the host may be called %s',
    async (host) => {
      const answer = await send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect(split(answer).status).toBe(200);
    },
  );

  test('bytes of UTF-8 in the path that are not percent-encoded are the number', async () => {
    const answer = await send(
      Buffer.from('GET /order/žluťoučkýkůň HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    );
    expect(split(answer).status).toBe(404);
  });

  test('TRACE is refused and repeats nothing', async () => {
    const { status, body } = split(await ask('TRACE', path, 'Cookie: secret=1\r\n'));
    expect(status).toBe(405);
    expect(body).not.toContain('secret');
  });

  test('a path of 10 kB is an answer, one of 10 MB is no end', async () => {
    expect(split(await ask('GET', `/order/${'a'.repeat(10_000)}`)).status).toBe(400);
    const huge = await send(`GET /${'a'.repeat(10_000_000)}`, (answer) => answer.includes('\r\n\r\n'));
    expect(split(huge).status || 431).toBeGreaterThanOrEqual(400);
    expect(split(await ask('GET', '/healthz')).status).toBe(200);
  });

  test('garbage, lies about the length and sudden ends are survived', async () => {
    const random = () => crypto.getRandomValues(new Uint8Array(2_000));
    const lies = [
      '\r\n\r\n\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabcdefgh`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
      `GET ${path} HTTP/1.1\nHost: x\n\n`,
      `GET http://[:::/ HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET ${path} HTTP/1.1\r\nHost: a b<script>\r\n\r\n`,
    ];
    for (const lie of [...lies, random(), random(), random()]) {
      const answered = send(typeof lie === 'string' ? Buffer.from(lie, 'latin1') : lie, (answer) =>
        answer.includes('\r\n\r\n'),
      );
      const { promise: patience, resolve } = Promise.withResolvers<string>();
      const timer = setTimeout(resolve, 100, '');
      expect(await Promise.race([answered, patience])).not.toMatch(/at .*\.ts:|node_modules|Bun v/);
      clearTimeout(timer);
      expect(split(await ask('GET', '/healthz')).status).toBe(200);
    }
  });

  test('a body that is too large is refused, and so is one that is never sent in full', async () => {
    const answer = await send(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n`,
      (given) => given.includes('\r\n\r\n'),
    );
    expect(split(answer).status).toBeGreaterThanOrEqual(400);
  });

  test('requests one behind another on a connection are answered in their order', async () => {
    const request = (url: string) => `GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const count = (answer: string) => answer.match(/HTTP\/1\.1 (\d+)/g)?.map((line) => line.slice(-3)) ?? [];
    const urls = [path, '/order/short', '/order/unknown-one', '/healthz', '/nothing'];
    const answer = await send(urls.map(request).join(''), (given) => count(given).length === 5);
    expect(count(answer)).toEqual(['200', '400', '404', '200', '404']);
  });

  test('a port that is taken is an error of one line that says what to do', () => {
    expect(() => listen(app, { port: server.port, host: '127.0.0.1' })).toThrow(
      new RegExp(`^Port ${server.port} on 127.0.0.1 is taken\\. .*PORT`),
    );
  });

  test('a stop lets what runs end, and takes nothing new', async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const slow = listen(
      {
        async fetch() {
          arrived.resolve();
          await gate.promise;
          return new Response('done');
        },
      },
      { port: 0, host: '127.0.0.1' },
    );
    const running = fetch(`http://127.0.0.1:${slow.port}`);
    await arrived.promise;
    const stopped = slow.stop();
    gate.resolve();
    expect(await (await running).text()).toBe('done');
    await stopped;
    await expect(fetch(`http://127.0.0.1:${slow.port}`)).rejects.toThrow();
  });
});
