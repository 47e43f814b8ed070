import { expect, test } from 'bun:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Elysia } from 'elysia';
import { exampleId } from '../../src/http/contract.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { createSwaggerRoute } from '../../src/http/routes/swagger.ts';
import type { Lookup } from '../../src/lookup/lookup.ts';
import { exampleOrder } from '../../src/order/example.ts';
import { openApp, order, path, ready, unavailable } from '../support/open-app.ts';
import { toOrder } from '../support/order-parser.ts';

type Documented = { headers?: object; content?: Record<string, { example: object }> };
type Parameter = { required?: boolean; example?: unknown };
type Operation = { parameters?: Parameter[]; responses: Record<string, Documented> };
type Document = { paths: Record<string, Record<string, Operation>> };

const document = (await (await openApp().get('/swagger/json')).json()) as Document;

/** Every response that the document lists, by a key such as `GET /order/{uid} 404`. */
const documented = Object.entries(document.paths).flatMap(([url, methods]) =>
  Object.entries(methods).flatMap(([method, { responses }]) =>
    Object.entries(responses)
      // The server answers it before the app; the contract tests ask for it.
      .filter(([status]) => status !== '431')
      .map(([status, response]) => [`${method.toUpperCase()} ${url} ${status}`, response] as const),
  ),
);

/** The program's own responses, by the same keys. */
const answers = async () => {
  const ask = (parts?: Parameters<typeof openApp>[0]) => {
    const { get } = openApp(parts);
    return (url: string, headers: Record<string, string> = {}) =>
      get(url, { headers: { 'x-request-id': exampleId, ...headers } });
  };
  const get = ask();
  const etag = (await get(path)).headers.get('etag') ?? '';
  const broken = {
    lookup: {
      find: () => Promise.reject(new Error('a bug')),
      findAll: () => Promise.reject(new Error('a bug')),
      findOtherCases: () => Promise.reject(new Error('a bug')),
      lastHitMs: () => undefined,
    } as Lookup,
    health: () => Promise.reject(new Error('a bug')),
  };
  const rateLimit = createRateLimit(6000, () => 0);
  while (rateLimit.consume('') === 0);
  const checkHost = createHostCheck({ names: null, loopbackOnly: true });
  const misdirected = { host: 'other.example' };
  const malformed = { host: 'a b' };
  const unready = { ...ready, status: 'unready' } as const;
  const given: [string, Response][] = [
    ['GET /order/{uid}', await get(path)],
    ['GET /order/{uid}', await get(path, { 'if-none-match': etag })],
    ['GET /order/{uid}', await get('/order/short')],
    ['GET /order/{uid}', await get('/order/no-such-order')],
    ['GET /order/{uid}', await ask({ rateLimit })(path)],
    ['GET /order/{uid}', await ask(broken)(path)],
    ['GET /order/{uid}', await ask({ lookup: unavailable })(path)],
    ['GET /order/{uid}', await ask({ checkHost })(path, misdirected)],
    ['GET /orders', await get(`/orders?uid=${order.order_uid}&uid=no-such-order`)],
    ['GET /orders', await get('/orders')],
    ['GET /orders', await ask({ rateLimit })(`/orders?uid=${order.order_uid}`)],
    ['GET /orders', await ask(broken)(`/orders?uid=${order.order_uid}`)],
    ['GET /orders', await ask({ lookup: unavailable })(`/orders?uid=${order.order_uid}`)],
    ['GET /orders', await ask({ checkHost })(`/orders?uid=${order.order_uid}`, misdirected)],
    ['GET /healthz', await get('/healthz')],
    ['GET /healthz', await get('/healthz', malformed)],
    ['GET /readyz', await get('/readyz')],
    ['GET /readyz', await get('/readyz', malformed)],
    ['GET /readyz', await ask(broken)('/readyz')],
    ['GET /readyz', await ask({ health: async () => unready })('/readyz')],
  ];
  return new Map(given.map(([route, response]) => [`${route} ${response.status}`, response]));
};

test('the document is valid OpenAPI 3.1', async () => {
  const validator = new Validator();
  const served = await (await openApp().get('/swagger/json')).json();
  const result = await validator.validate(served);
  expect(result.errors).toBeUndefined();
  expect(result.valid).toBe(true);
  expect(validator.version).toBe('3.1');
});

test('every status in it is answered, with the headers and the content type in it, and no other', async () => {
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

test('its problems are answered to the letter', async () => {
  const given = await answers();
  for (const [name, { content = {} }] of documented) {
    const problem = content['application/problem+json'];
    if (problem) expect([name, await given.get(name)?.json()]).toEqual([name, problem.example]);
  }
});

test('no optional parameter has an example, which Swagger UI would send', () => {
  const examples = Object.values(document.paths)
    .flatMap((methods) => Object.values(methods))
    .flatMap(({ parameters = [] }) => parameters)
    .filter(({ required, example }) => !required && example !== undefined);
  expect(examples).toEqual([]);
});

test('its example of an order is valid', () => {
  expect(toOrder(exampleOrder)).toEqual({ order: exampleOrder });
});

test('Swagger UI links to no other host, and every file that it links to exists', async () => {
  const { get } = openApp();
  const page = await (await get('/swagger')).text();
  const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url as string);
  expect(page).not.toMatch(/https?:|<script>|<style>|style="/);
  const own = files.filter((url) => url.startsWith('assets/'));
  expect(own).toHaveLength(3);
  for (const url of own) expect((await get(`/${url}`)).status).toBe(200);
});

test('the order in it has the configured rules', async () => {
  const rules = {
    currencies: ['CNY'],
    providers: ['my-pay'],
    locales: ['zh-Hant'],
    trackPattern: '^[A-Z-]+$',
    freeItems: true,
    retentionDays: 30,
  };
  const route = createSwaggerRoute({ rules })(new Elysia());
  const served = await (await route.handle(new Request('http://localhost/swagger/json'))).json();
  const { required, properties } = served.components.schemas.Order;
  expect(properties).toMatchObject({
    track_number: { pattern: '^[A-Z-]+$' },
    payment: { properties: { currency: { enum: ['CNY'] }, provider: { enum: ['my-pay'] } } },
    items: { items: { properties: { track_number: { pattern: '^[A-Z-]+$' }, total_price: { minimum: 0 } } } },
    locale: { enum: ['zh-Hant'] },
    internal_signature: { minLength: 0, description: expect.stringContaining('may omit it') },
  });
  // An order that is served always has it.
  expect(required).toContain('internal_signature');
});
