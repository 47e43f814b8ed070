import { expect, test } from 'bun:test';
import { createApp } from '../../src/http/app.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createCharge, createRateLimit } from '../../src/http/rate-limit.ts';
import { createAssets, createPage, createTooOftenPage } from '../../src/page/handler.tsx';
import { buildOrder } from '../support/build-order.ts';
import { silent } from '../support/database.ts';
import { createWorld } from '../support/site.ts';

const order = buildOrder();
const address = `/?uid=${order.order_uid}`;
const browser = { accept: 'text/html,*/*;q=0.8', 'accept-language': 'en' };

const open = (perMinute: number) => {
  const { lookup } = createWorld([order]);
  const rateLimit = createRateLimit(perMinute, () => 0);
  const assets = createAssets(true);
  const tooOftenPage = createTooOftenPage(assets);
  const charge = createCharge(rateLimit, tooOftenPage);
  const { fetch } = createApp({
    routes: [createPage({ lookup, assets, charge })],
    checkHost: createHostCheck({ names: null, loopbackOnly: false }),
    rateLimit,
    tooOftenPage,
    trustedProxies: 0,
    log: silent,
  });
  return (path: string, headers: Record<string, string> = browser) =>
    fetch(new Request(`http://localhost${path}`, { headers }));
};

test('a person who has looked up too many orders gets a page with the seconds to wait and the same lookup again', async () => {
  const get = open(1);
  expect((await get(address)).status).toBe(200);
  const refused = await get(address);
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('60');
  expect(refused.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(refused.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(refused.headers.get('x-request-id')).not.toBeNull();
  const html = await refused.text();
  expect(html).toStartWith('<!doctype html>');
  expect(html).toContain('data-state="tooOften"');
  expect(html).toContain('Try again in 60 s.');
  expect(html).toContain(`href=".${address}" data-retry`);
  expect(html).toContain(`value="${order.order_uid}"`);
});

test('so does one whose list counts as more lookups than are left, with the whole list in the field', async () => {
  const get = open(3);
  const list = Array.from({ length: 4 }, (_, index) => `many-orders-${index}`);
  expect((await get('/')).status).toBe(200);
  const refused = await get(`/?${list.map((uid) => `uid=${uid}`).join('&')}`);
  expect(refused.status).toBe(429);
  expect(await refused.text()).toContain(`value="${list.join(' ')}"`);
});

test('programs, the page’s script and other addresses get a problem', async () => {
  const get = open(1);
  await get('/');
  for (const [path, headers] of [
    [address, { accept: '*/*' }],
    [address, {}],
    [address, { ...browser, 'hx-request-type': 'partial' }],
    [`/orders.csv${address.slice(1)}`, browser],
    ['/nothing', browser],
  ] as const) {
    const refused = await get(path, headers);
    expect([refused.status, refused.headers.get('content-type')]).toEqual([429, 'application/problem+json']);
  }
});
