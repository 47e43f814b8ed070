import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostCheck } from '../../src/http/host.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { listen } from '../../src/http/server.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { openApp, path } from '../support/open-app.ts';
import { startProgram } from '../support/program.ts';
import { connect } from '../support/raw-http.ts';

setDefaultTimeout(60_000);

/** Sends one request; resolves with what was received until the server closed the connection. */
const send = async (port: number, ...lines: string[]) => {
  const connection = await connect({ hostname: '127.0.0.1', port });
  connection.write([...lines, 'Connection: close', '', ''].join('\r\n'));
  await connection.closed;
  const text = connection.text();
  return { text, status: Number(text.slice(9, 12)) };
};

describe('the path alone decides the route', () => {
  const { app } = openApp({
    // A single request.
    rateLimit: createRateLimit(1),
  });
  const assets = app.routes.map((route) => route.path).filter((route) => route.startsWith('/assets/'));
  let server: ReturnType<typeof listen>;
  beforeAll(() => {
    server = listen(app, { port: 0, host: '127.0.0.1' });
  });
  afterAll(() => server.stop());

  test.each([
    ['HTTP/1.0 without a host', (target: string) => [`GET ${target} HTTP/1.0`]],
    ['an empty host', (target: string) => [`GET ${target} HTTP/1.1`, 'Host: ']],
    ['a host that no URL has', (target: string) => [`GET ${target} HTTP/1.1`, 'Host: x:99999']],
    ['an absolute target', (target: string) => [`GET http://other${target} HTTP/1.1`, 'Host: x']],
    ['an absolute target of TLS', (target: string) => [`GET HTTPS://other${target} HTTP/1.1`, 'Host: x']],
  ])('with %s', async (_, request) => {
    for (let asked = 0; asked < 3; asked++)
      for (const target of ['/healthz', '/readyz', '/healthz?a=/b', '/metrics'])
        expect([target, (await send(server.port, ...request(target))).status]).toEqual([target, 200]);
    // Any other path is another route, whatever it ends with. The first request uses up the limit.
    await send(server.port, ...request('/nothing'));
    for (const target of ['//healthz', '//x/healthz', '/x/healthz', '/healthz/x'])
      expect([target, (await send(server.port, ...request(target))).status]).toEqual([target, 429]);
  });

  test('every route answers the same without a host as with one', async () => {
    const open = listen(openApp().app, { port: 0, host: '127.0.0.1' });
    for (const target of [path, '/', '/?uid=short', '/swagger', '/swagger/json', ...assets, '/nothing']) {
      const named = await send(open.port, `GET ${target} HTTP/1.1`, 'Host: localhost');
      const unnamed = await send(open.port, `GET ${target} HTTP/1.0`);
      expect([target, unnamed.status]).toEqual([target, named.status]);
    }
    await open.stop();
  });
});

test.each([
  [['Host: a', 'Host: b']],
  [['Host: a', 'Host: a']],
  [['Host: ', 'Host: a']],
  [['Host: ', 'Host: ']],
  [['Host: localhost', 'X: y', 'host: localhost']],
  [['Host: a b']],
  [['Host: a, b']],
  [['Host: a/b?c']],
  [['Host: u:p@x']],
  [['Host: [::1']],
  [['Host: %']],
  [['Host: a:b']],
  [['Host: \xff']],
  [['Host: <script>']],
  [[`Host: ${'a'.repeat(10_000)}`]],
])('%j is 400 on every route, a problem, and quotes nothing', async (headers) => {
  const server = listen(openApp().app, { port: 0, host: '127.0.0.1' });
  for (const target of ['/healthz', '/readyz', '/metrics', path, '/', '/nothing']) {
    const { status, text } = await send(server.port, `GET ${target} HTTP/1.1`, ...headers);
    expect([target, status]).toEqual([target, 400]);
    expect(text).toContain('application/problem+json');
    expect(text).not.toContain('script');
  }
  await server.stop();
});

describe('names', () => {
  const check = (allowed: Parameters<typeof createHostCheck>[0], host: string) => {
    const refused = createHostCheck(allowed)(new Request('http://localhost/', { headers: { host } }), false);
    return refused?.status ?? 200;
  };
  const own = [
    'localhost',
    'LOCALHOST:80',
    'localhost.',
    'a.localhost:1',
    '127.0.0.1:8081',
    '127.9.9.9',
    '[::1]',
    '[0:0:0:0:0:0:0:1]:80',
    '[::ffff:7f00:1]',
    '',
  ];
  const addresses = ['10.0.0.1', '[2001:db8::1]:80', '0.0.0.0'];
  const others = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'xlocalhost',
    'orders.example.org.evil.example',
    '2130706433',
  ];

  test('of this machine are the only ones allowed on loopback', () => {
    const only = { names: null, loopbackOnly: true };
    for (const host of own) expect([host, check(only, host)]).toEqual([host, 200]);
    for (const host of [...others, ...addresses, 'orders.example.org'])
      expect([host, check(only, host)]).toEqual([host, 421]);
  });

  test('that are listed are allowed, in any case and with any port, and IP addresses, and nothing else', () => {
    const listed = { names: ['orders.example.org', '*.internal'], loopbackOnly: true };
    for (const host of [
      ...own,
      ...addresses,
      'orders.example.org',
      'Orders.Example.ORG:8081',
      'orders.example.org.',
      'a.internal',
      'a.b.internal:1',
    ])
      expect([host, check(listed, host)]).toEqual([host, 200]);
    for (const host of [...others, 'internal', 'ainternal', 'x.orders.example.org'])
      expect([host, check(listed, host)]).toEqual([host, 421]);
  });

  test('are all allowed on a network without a list', () => {
    for (const host of [...own, ...addresses, ...others])
      expect(check({ names: null, loopbackOnly: false }, host)).toBe(200);
  });

  test('are checked again after one that was allowed', () => {
    const again = createHostCheck({ names: null, loopbackOnly: true });
    const ask = (host: string) =>
      again(new Request('http://localhost/', { headers: { host } }), false)?.status;
    expect(['localhost', 'evil.example', 'localhost', 'a b', 'evil.example'].map(ask)).toEqual([
      undefined,
      421,
      undefined,
      400,
      421,
    ]);
  });
});

const targets = ['/', '/?uid=b563feb7b2b84b6test', path, '/events', '/metrics', '/swagger/json', '/nothing'];
const evil = 'Host: evil.example:8081';

test.each([
  ['with an embedded service, on loopback', { DATABASE_URL: '' }, 421],
  ['with a list of names', { ALLOWED_HOSTS: 'orders.example.org' }, 421],
  ['with the name in the list', { ALLOWED_HOSTS: 'evil.example' }, 200],
  ['on services of its own', {}, 200],
])(
  'the program %s: a page of a host whose name points here is answered %d',
  async (_, environment, status) => {
    await using database = await testDatabase();
    const dir = await mkdtemp(join(tmpdir(), 'host-'));
    await using program = startProgram({
      DATABASE_URL: database.url,
      KAFKA_BROKERS: '127.0.0.1:1',
      LIVE_FEED: 'true',
      SERVE: 'http',
      METRICS_PORT: '0',
      DATA_DIR: dir,
      ...environment,
    } as Record<string, string>);
    const port = Number(new URL(await program.url()).port);
    for (const target of targets) {
      // The live list does not end.
      const method = target === '/events' ? 'HEAD' : 'GET';
      const answer = await send(port, `${method} ${target} HTTP/1.1`, evil);
      expect([target, answer.status === 421]).toEqual([target, status === 421]);
      if (status === 421 && method === 'GET') expect(answer.text).toContain('ALLOWED_HOSTS');
      expect(answer.text).not.toContain('evil');
      const own = await send(port, `${method} ${target} HTTP/1.1`, 'Host: localhost');
      expect([target, own.status]).not.toEqual([target, 421]);
    }
    expect((await send(port, 'GET /healthz HTTP/1.1', evil)).status).toBe(200);
    const { url } = await program.said('metrics are served');
    const metrics = await send(Number(new URL(String(url)).port), 'GET /metrics HTTP/1.1', evil);
    expect(metrics.status).toBe(status);
    expect((await program.stop('SIGTERM')).status).toBe(0);
    await rm(dir, { recursive: true, force: true });
  },
);
