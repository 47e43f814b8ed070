import { expect, test } from 'bun:test';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { openApp, order, unavailable } from '../support/open-app.ts';

const json = JSON.stringify(order);
const open = (parts: Parameters<typeof openApp>[0] = {}) => {
  const world = openApp(parts);
  for (const uid of ['second-order', 'third order, with ё']) {
    world.orders.set(uid, JSON.stringify({ ...order, order_uid: uid }));
  }
  const ask = (...uids: string[]) =>
    world.get(`/orders?${new URLSearchParams(uids.map((uid) => ['uid', uid]))}`);
  return { ...world, ask };
};
const uidsOf = (body: { orders: { order_uid: string }[] }) => body.orders.map(({ order_uid }) => order_uid);

test('orders are answered in the order of the numbers, each one byte for byte, with what answered it', async () => {
  const { ask, get } = open();
  await get(`/order/${order.order_uid}`);
  const response = await ask('third order, with ё', 'no-such-order', order.order_uid, 'second-order');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(response.headers.get('cache-control')).toBe('private');
  const text = await response.text();
  expect(text).toContain(json);
  const body = JSON.parse(text);
  expect(uidsOf(body)).toEqual(['third order, with ё', order.order_uid, 'second-order']);
  expect(body.missing).toEqual(['no-such-order']);
  expect(body.source).toEqual(['memory; fwd=miss', 'memory; hit', 'memory; fwd=miss']);
});

test('a number that is repeated is answered once', async () => {
  const body = await (
    await open().ask('second-order', 'no-such-order', 'second-order', 'no-such-order')
  ).json();
  expect(uidsOf(body)).toEqual(['second-order']);
  expect(body.missing).toEqual(['no-such-order']);
});

test('a hundred numbers are answered; none, more, and a malformed one get an error that says so', async () => {
  const { ask } = open();
  const many = Array.from({ length: 100 }, (_, index) => `many-orders-${index}`);
  expect((await (await ask(...many)).json()).missing).toEqual(many);
  const problem = async (...uids: string[]) => {
    const response = await ask(...uids);
    return [response.status, (await response.json()).detail];
  };
  expect(await problem(...many, 'one-too-many')).toEqual([
    400,
    'Send 1 to 100 order numbers, as in ?uid=…&uid=…; this request has 101.',
  ]);
  expect(await problem()).toEqual([
    400,
    'Send 1 to 100 order numbers, as in ?uid=…&uid=…; this request has 0.',
  ]);
  const [status, detail] = await problem('second-order', 'short');
  expect(status).toBe(400);
  expect(detail).toStartWith('Number 2 of this request is not an order number');
});

test('while the database does not answer, no number is called missing', async () => {
  const response = await open({ lookup: unavailable }).ask('second-order');
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('2');
});

test('a request counts as many as it has numbers', async () => {
  const { ask } = open({ rateLimit: createRateLimit(10, () => 0) });
  const numbers = Array.from({ length: 6 }, (_, index) => `many-orders-${index}`);
  expect((await ask(...numbers)).status).toBe(200);
  const refused = await ask(...numbers);
  expect(refused.status).toBe(429);
  // Three are left of ten, as the refused request itself counts as one; five more of its six take 2 × 6 s.
  expect(refused.headers.get('retry-after')).toBe('12');
  expect((await ask(...numbers.slice(0, 3))).status).toBe(200);
  expect((await ask('second-order')).status).toBe(429);
});

test('more numbers than the limit of a minute count as all of it', async () => {
  const { ask } = open({ rateLimit: createRateLimit(10, () => 0) });
  const numbers = Array.from({ length: 10 }, (_, index) => `many-orders-${index}`);
  expect((await ask(...numbers)).status).toBe(200);
  const limit = createRateLimit(10, () => 0);
  expect(limit.consume('a', 1_000)).toBe(0);
  expect(limit.consume('a')).toBe(6_000);
});
