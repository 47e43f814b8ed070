import { expect, test } from 'bun:test';
import { createOrderSchema } from '../../src/order/order.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { defaultRules, type OrderRules } from '../../src/order/rules.ts';
import { badKinds } from '../../src/producer/bad-message.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { madeMessages } from '../../src/producer/messages.ts';

const configured: [string, Partial<OrderRules>][] = [
  ['other currencies only', { currencies: ['CNY', 'USDT'] }],
  ['one more currency', { currencies: [...defaultRules.currencies, 'KZT'] }],
  ['other locales and providers', { locales: ['zh', 'kk-KZ'], providers: ['my-pay'] }],
  ['only one locale', { locales: ['en'] }],
  ['track numbers with dashes', { trackPattern: '^[A-Z]{2}-[0-9]{4}(-[A-Z]{2})?$' }],
  ['track numbers of alternatives', { trackPattern: '^(?:KZ|(PL){2})\\d{9,12}[^A-Z]$' }],
  ['track numbers of other scripts', { trackPattern: '^\\p{Script=Cyrillic}+$' }],
  ['free items', { freeItems: true }],
];

test.each(configured)('orders are valid by the configured rules: %s', (_, more) => {
  const rules = { ...defaultRules, ...more };
  const { toOrder } = createOrderParser(rules);
  const orders = Array.from({ length: 300 }, createOrderMaker({ seed: 5, rules }));
  for (const order of orders) expect(toOrder(order)).toEqual({ order });
  const used = {
    currencies: new Set(orders.map(({ payment }) => payment.currency)),
    providers: new Set(orders.map(({ payment }) => payment.provider)),
    locales: new Set(orders.map(({ locale }) => locale)),
  };
  for (const name of ['currencies', 'providers', 'locales'] as const)
    expect([...used[name]].toSorted()).toEqual([...rules[name]].toSorted());
  expect(new Set(orders.map((order) => order.track_number)).size).toBeGreaterThan(200);
});

test.each(['^[A-Z]*$', '^(?:[A-Z]{30}-){0,2}$', '^\\u{1F4E6}+$', '^(?:\\u{1F4E6}{20}){0,9}$'])(
  'no track number is empty or too long by the pattern %s',
  (trackPattern) => {
    const rules = { ...defaultRules, trackPattern };
    const { toOrder } = createOrderParser(rules);
    for (const order of Array.from({ length: 50 }, createOrderMaker({ seed: 7, rules })))
      expect(toOrder(order)).toEqual({ order });
  },
);

test.each(configured)('every kind of bad message breaks the configured rules: %s', (_, more) => {
  const rules = { ...defaultRules, ...more };
  const { parse } = createOrderParser(rules);
  const make = createOrderMaker({ seed: 6, rules });
  const { conflict, ...families } = badKinds(createOrderSchema(rules));
  for (const { name, make: spoil } of Object.values(families).flat())
    expect('reason' in parse(spoil(make())), name).toBe(true);
  expect(conflict.length).toBeGreaterThan(0);
});

test('the stream of fake orders follows the rules that it is given', () => {
  const rules = { ...defaultRules, currencies: ['CNY'], trackPattern: '^T-[0-9]{6}$' };
  const { parse } = createOrderParser(rules);
  const messages = madeMessages({ seed: 1, invalid: 0.5 }, rules);
  for (const { value, bad } of Array.from({ length: 40 }, () => messages.next().value))
    expect('order' in parse(value) || bad).toBe(true);
});
