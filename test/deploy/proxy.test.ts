/** The proxy's configuration, in front of replicas that fail on purpose. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { isSecure } from '../../src/http/forwarded.ts';
import { connect } from '../support/raw-http.ts';
import { freePort, startReverseProxy } from '../support/reverse-proxy.ts';
import { until } from '../support/until.ts';

const addresses = ['127.0.3.1', '127.0.3.2', '127.0.3.3'];

type Answer = (request: Request) => Response | Promise<Response>;

/** A replica that answers with its name, unless a test replaces its handler. */
const startReplica = (hostname: string, port: number) => {
  const replica = { isReady: true, asked: 0, checked: 0, answer: undefined as Answer | undefined };
  const server = Bun.serve({
    hostname,
    port,
    idleTimeout: 60,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === '/readyz' || pathname === '/healthz') {
        replica.checked++;
        return new Response(null, { status: replica.isReady || pathname === '/healthz' ? 200 : 503 });
      }
      replica.asked++;
      return replica.answer?.(request) ?? new Response(hostname);
    },
  });
  return Object.assign(replica, { stop: () => server.stop(true), hostname });
};

const openWorld = async (changes?: Record<string, string>) => {
  const port = freePort();
  const replicas = addresses.map((address) => startReplica(address, port));
  // The addresses at the start: the list may change.
  const known = [...addresses];
  const proxy = await startReverseProxy({ port, addresses: known, ...(changes && { changes }) });
  const ask = async (path = '/order/1', init?: RequestInit) => fetch(`${proxy.url}${path}`, init);
  /** The replicas that answer a number of requests. */
  const answering = async (requests = 12) => {
    const texts = await Promise.all(Array.from({ length: requests }, async () => (await ask()).text()));
    return [...new Set(texts)].sort();
  };
  await until(async () => (await answering()).length === 3);
  return {
    port,
    replicas,
    known,
    url: proxy.url,
    ask,
    answering,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      for (const replica of replicas) await replica.stop();
    },
  };
};

setDefaultTimeout(60_000);

// One of three fails: a retry goes to another one than the one before it, but three retries may all meet two that fail.
test.each(['ends', 'hangs'])(
  'a lookup that a replica does not answer, because it %s, is retried on another',
  async (fault) => {
    await using world = await openWorld({ 'timeout server 5s': 'timeout server 300ms' });
    const [failing] = world.replicas as [(typeof world.replicas)[0]];
    failing.answer = () => {
      if (fault === 'ends') void failing.stop();
      return new Promise<Response>(() => {});
    };
    failing.asked = 0;
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const response = await world.ask();
        return [response.status, await response.text()];
      }),
    );
    const others = [200, expect.stringMatching(/^127\.0\.3\.[23]$/)];
    expect(answers).toEqual(answers.map(() => others));
    expect(failing.asked).toBeGreaterThan(0);
  },
);

test('a request that changes something is never retried', async () => {
  await using world = await openWorld();
  let posted = 0;
  for (const replica of world.replicas) {
    replica.answer = () => {
      posted++;
      void replica.stop();
      return new Promise<Response>(() => {});
    };
  }
  const response = await world.ask('/', { method: 'POST', body: 'x' }).catch(() => undefined);
  expect([response?.ok ?? false, posted]).toEqual([false, 1]);
});

test('a replica that is not ready gets requests only when none is; replicas that are added or removed are detected', async () => {
  await using world = await openWorld();
  const [first, second, third] = world.replicas as [...typeof world.replicas, (typeof world.replicas)[0]];
  if (!first || !second || !third) throw new Error('three replicas');
  first.isReady = second.isReady = false;
  await until(async () => (await world.answering()).join() === '127.0.3.3');
  third.isReady = false;
  await until(async () => (await world.answering()).length === 3);
  first.isReady = second.isReady = third.isReady = true;

  world.known.splice(2, 1);
  await until(async () => (await world.answering()).join() === '127.0.3.1,127.0.3.2');
  world.known.push('127.0.3.3');
  await until(async () => (await world.answering()).length === 3);
});

test('a replica that joins gets no request before it has passed a health check', async () => {
  await using world = await openWorld();
  const fourth = startReplica('127.0.3.4', world.port);
  try {
    fourth.isReady = false;
    world.known.push('127.0.3.4');
    await until(async () => {
      await world.answering();
      return fourth.checked >= 4;
    });
    expect(fourth.asked).toBe(0);
    fourth.isReady = true;
    await until(async () => (await world.answering()).includes('127.0.3.4'));
  } finally {
    await fourth.stop();
  }
});

test('the address of the client is appended to the X-Forwarded-For that it sent; events are not buffered', async () => {
  await using world = await openWorld();
  const step = Promise.withResolvers<void>();
  for (const replica of world.replicas)
    replica.answer = ({ headers, url }) => {
      if (!url.endsWith('/events')) return new Response(headers.get('x-forwarded-for'));
      const stream = new ReadableStream({
        async start(controller) {
          controller.enqueue(new TextEncoder().encode('data: 1\n\n'));
          await step.promise;
          controller.enqueue(new TextEncoder().encode('data: 2\n\n'));
          controller.close();
        },
      });
      return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
    };
  const response = await world.ask('/', { headers: { 'x-forwarded-for': '192.0.2.1' } });
  expect(await response.text()).toBe('192.0.2.1, 127.0.0.1');

  const seen: string[] = [];
  const body = (await world.ask('/events')).body as ReadableStream<Uint8Array>;
  for await (const part of body as typeof body & AsyncIterable<Uint8Array>) {
    seen.push(new TextDecoder().decode(part));
    step.resolve();
  }
  expect(seen).toEqual(['data: 1\n\n', 'data: 2\n\n']);
});

test('the protocol is appended to that of a proxy in front, which counts only if two proxies are trusted', async () => {
  await using world = await openWorld();
  for (const replica of world.replicas)
    replica.answer = (request) =>
      Response.json([1, 2].map((trustedProxies) => isSecure(request, trustedProxies)));
  const seen = async (headers: Record<string, string>) => (await world.ask('/', { headers })).json();
  expect(await seen({})).toEqual([false, false]);
  expect(await seen({ 'x-forwarded-proto': 'https' })).toEqual([false, true]);
  expect(await seen({ 'x-forwarded-proto': 'http' })).toEqual([false, false]);
});

/** The path is sent unchanged: an HTTP client would normalize it. */
const statusOf = async (url: string, target: string) => {
  const { hostname, port } = new URL(url);
  const connection = await connect({ hostname, port: Number(port) });
  connection.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  await connection.closed;
  return Number(connection.text().slice(9, 12));
};

test('metrics are not reachable through the proxy, in no spelling of their path; orders are', async () => {
  await using world = await openWorld();
  const asked: string[] = [];
  for (const replica of world.replicas)
    replica.answer = ({ url }) => {
      asked.push(new URL(url).pathname);
      return new Response('asked');
    };
  const spellings = [
    '/metrics',
    '/metrics/',
    '/metrics?a',
    '//metrics',
    '/%6detrics',
    '/%6D%65trics',
    '/x/../metrics',
    '/x/%2e%2E/metrics',
    '/./metrics',
    '/%2e/metrics',
    '/order/..\\metrics',
    '/x/.%2e/metrics',
    '/x/..',
    '/lookup/metrics',
    '/lookup//%6detrics/',
    '/lookup\\metrics',
    'http://x/metrics',
  ];
  for (const target of spellings) expect([target, await statusOf(world.url, target)]).toEqual([target, 404]);
  expect(asked).toEqual([]);
  for (const target of [
    '/',
    '/order/metrics-1234',
    '/order/..%2F..%2Fmetrics',
    '/order/a..b..c..d',
    '/order/12345%2Fmetrics',
    '/?uid=/metrics',
    '/?uid=/../x',
  ])
    expect([target, await statusOf(world.url, target)]).toEqual([target, 200]);
});
