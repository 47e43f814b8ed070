import { expect, test } from 'bun:test';
import { underBasePath } from '../../src/http/base-path.ts';
import { createFeed } from '../../src/http/feed.ts';
import { listen } from '../../src/http/server.ts';
import { openApp, path } from '../support/open-app.ts';

const openBelow = (basePath: string) => {
  const feed = createFeed();
  const { app } = openApp({ basePath, feed });
  const { fetch } = underBasePath(basePath, app);
  const get = async (url: string, init?: RequestInit) => fetch(new Request(`http://localhost${url}`, init));
  return { get, fetch, feed };
};

test('page, API, documents and events are below BASE_PATH, and at the root for probes and rewriting proxies', async () => {
  const { get, feed } = openBelow('/shop/lookup');
  for (const base of ['', '/shop/lookup']) {
    for (const below of [
      path,
      '/',
      '/?uid=short',
      '/swagger',
      '/swagger/json',
      '/healthz',
      '/readyz',
      '/metrics',
    ])
      expect([base + below, (await get(base + below)).status]).toEqual([
        base + below,
        below === '/?uid=short' ? 400 : 200,
      ]);
    expect((await get(`${base}/events`)).headers.get('content-type')).toBe('text/event-stream');
  }
  feed.close();
});

test('the base path without its slash redirects to the page; a path that only begins like it is not below it', async () => {
  const { get } = openBelow('/lookup');
  const moved = await get('/lookup?uid=0123456789');
  expect([moved.status, moved.headers.get('location')]).toEqual([308, '/lookup/?uid=0123456789']);
  for (const other of ['/lookups/', '/lookupx', '/lookup/lookup/', '/order/lookup/x'])
    expect([other, (await get(other)).status]).toEqual([other, 404]);
});

test('the OpenAPI document names the base path as its server', async () => {
  const servers = async (basePath: string) =>
    ((await (await openBelow(basePath).get('/swagger/json')).json()) as { servers: { url: string }[] })
      .servers;
  expect(await servers('/lookup')).toMatchObject([{ url: '/lookup' }]);
  expect(await servers('')).toMatchObject([{ url: '/' }]);
});

test("method, headers, body and the client's address are passed on", async () => {
  const seen: unknown[] = [];
  const app = {
    fetch: async (request: Request, addressOf?: (request: Request) => string | undefined) => {
      const { method, headers } = request;
      seen.push(
        new URL(request.url).pathname,
        method,
        headers.get('x-request-id'),
        headers.get('host'),
        await request.text(),
      );
      seen.push(addressOf?.(request));
      return new Response();
    },
  };
  const server = listen(underBasePath('/lookup', app), { port: 0, host: '127.0.0.1' });
  await fetch(`http://127.0.0.1:${server.port}/lookup/x`, {
    method: 'PUT',
    body: 'b',
    headers: { 'x-request-id': 'i' },
  });
  await server.stop();
  expect(seen).toEqual(['/x', 'PUT', 'i', `127.0.0.1:${server.port}`, 'b', '127.0.0.1']);
});
