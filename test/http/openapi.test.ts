import { expect, test } from 'bun:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { document, exampleId } from '../../src/http/openapi.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import type { Lookup } from '../../src/lookup/lookup.ts';
import { exampleOrder } from '../../src/order/example.ts';
import { toOrder } from '../../src/order/order.ts';
import { openApp, path, ready, unavailable } from '../support/open-app.ts';

type Documented = { headers?: object; content?: Record<string, { example: object }> };

/** Every answer that the document names, as in `GET /order/{uid} 404`. */
const documented = Object.entries(document.paths).flatMap(([url, methods]) =>
  Object.entries(methods).flatMap(([method, { responses }]) =>
    Object.entries(responses).map(
      ([status, response]) =>
        [`${method.toUpperCase()} ${url} ${status}`, response as unknown as Documented] as const,
    ),
  ),
);

/** Each of them, had from the program. */
const answers = async () => {
  const ask = (parts?: Parameters<typeof openApp>[0]) => {
    const { get } = openApp(parts);
    return (url: string, headers: Record<string, string> = {}) =>
      get(url, { headers: { 'x-request-id': exampleId, ...headers } });
  };
  const get = ask();
  const etag = (await get(path)).headers.get('etag') ?? '';
  const broken = {
    lookup: { find: () => Promise.reject(new Error('a bug')), lastHitMs: () => undefined } as Lookup,
    health: () => Promise.reject(new Error('a bug')),
  };
  const rateLimit = createRateLimit(6000, () => 0);
  while (rateLimit.take('') === 0);
  const unready = { ...ready, status: 'unready' } as const;
  const given: [string, Response][] = [
    ['GET /order/{uid}', await get(path)],
    ['GET /order/{uid}', await get(path, { 'if-none-match': etag })],
    ['GET /order/{uid}', await get('/order/short')],
    ['GET /order/{uid}', await get('/order/no-such-order')],
    ['GET /order/{uid}', await ask({ rateLimit })(path)],
    ['GET /order/{uid}', await ask(broken)(path)],
    ['GET /order/{uid}', await ask({ lookup: unavailable })(path)],
    ['GET /healthz', await get('/healthz')],
    ['GET /readyz', await get('/readyz')],
    ['GET /readyz', await ask(broken)('/readyz')],
    ['GET /readyz', await ask({ health: async () => unready })('/readyz')],
  ];
  return new Map(given.map(([route, response]) => [`${route} ${response.status}`, response]));
};

test('is valid, and of version 3.1', async () => {
  const validator = new Validator();
  const served = await (await openApp().get('/swagger/json')).json();
  const result = await validator.validate(served);
  expect(result.errors).toBeUndefined();
  expect(result.valid).toBe(true);
  expect(validator.version).toBe('3.1');
});

test('every status that it names can be had, with the headers and the type that it names, and no other', async () => {
  const given = await answers();
  expect([...given.keys()].toSorted()).toEqual(documented.map(([name]) => name).toSorted());
  for (const [name, { headers = {}, content = {} }] of documented) {
    const response = given.get(name) as Response;
    for (const header of Object.keys(headers))
      expect([name, header, response.headers.has(header)]).toContain(true);
    const type = response.headers.get('content-type')?.split(';')[0];
    expect([name, response.status === 304 ? [] : [type]]).toEqual([name, Object.keys(content)]);
  }
});

test('its problems are what is answered, to the letter', async () => {
  const given = await answers();
  for (const [name, { content = {} }] of documented) {
    const problem = content['application/problem+json'];
    if (problem) expect([name, await given.get(name)?.json()]).toEqual([name, problem.example]);
  }
});

test('its order is one', () => {
  expect(toOrder(exampleOrder)).toEqual({ order: exampleOrder });
});

test('Swagger UI names no other host, and every file it names is there', async () => {
  const { get } = openApp();
  const page = await (await get('/swagger')).text();
  const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url as string);
  expect(page).not.toMatch(/https?:|<script>|<style>|style="/);
  const own = files.filter((url) => url.startsWith('assets/'));
  expect(own).toHaveLength(3);
  for (const url of own) expect((await get(`/${url}`)).status).toBe(200);
});
