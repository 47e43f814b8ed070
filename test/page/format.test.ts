import { expect, test } from 'bun:test';
import { createFormat, fill } from '../../views/format.ts';
import { findDifferences } from '../../views/sums.ts';
import { texts } from '../../views/text.ts';
import { buildOrder } from '../support/build-order.ts';

const en = createFormat('en');
const ru = createFormat('ru');
const spaces = (text: string) => text.replaceAll(/\s/g, ' ');

test('money is in whole units of its currency, as the language writes it', () => {
  expect(en.money(1817, 'USD')).toBe('$1,817.00');
  expect(spaces(ru.money(1817, 'RUB'))).toBe('1 817,00 ₽');
  expect(spaces(ru.money(2n ** 60n, 'EUR'))).toBe('1 152 921 504 606 846 976,00 €');
});

test('a currency that Intl does not know, or whose code is none of ISO 4217, is written as it is', () => {
  expect(spaces(en.money(1817, 'CNY'))).toBe('¥1,817.00');
  expect(spaces(en.money(1817, 'XQQ'))).toBe('XQQ 1,817.00');
  expect(spaces(ru.money(1817, 'USDT'))).toBe('1 817 USDT');
  expect(en.money(2n ** 60n, 'a.b_c-1')).toBe('1,152,921,504,606,846,976 a.b_c-1');
});

test('a duration has two digits, and below a hundredth of a millisecond only that', () => {
  expect([0, 0.0004, 0.0214, 3.94, 12.6, 1234].map(en.duration)).toEqual([
    '< 0.01 ms',
    '< 0.01 ms',
    '0.021 ms',
    '3.9 ms',
    '13 ms',
    '1,200 ms',
  ]);
  expect(spaces(ru.duration(0.02))).toBe('0,02 мс');
});

test('a relative time is in the largest unit that fits', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  const at = (instant: string) => en.relative(new Date(instant), now);
  expect(at('2026-11-22T12:00:00Z')).toBe('now');
  expect(at('2026-11-22T11:59:30Z')).toBe('30 seconds ago');
  expect(at('2026-11-22T10:00:00Z')).toBe('2 hours ago');
  expect(at('2026-11-21T12:00:00Z')).toBe('yesterday');
  expect(at('2021-11-26T06:22:19Z')).toBe('5 years ago');
  expect(at('2026-11-22T12:30:00Z')).toBe('in 30 minutes');
});

test('counts follow the plurals of the language', () => {
  expect([1, 2, 5, 21, 1000].map((n) => spaces(ru.count(texts.ru.itemCount, n)))).toEqual([
    '1 товар',
    '2 товара',
    '5 товаров',
    '21 товар',
    '1 000 товаров',
  ]);
  expect([1, 2].map((n) => en.count(texts.en.itemCount, n))).toEqual(['1 item', '2 items']);
});

test('values that are filled in are not searched for placeholders', () => {
  expect(fill('{a} and {b}', { a: '{b}', b: '$&' })).toBe('{b} and $&');
});

test('a plausible order adds up', () => {
  const { goods, amount, items } = findDifferences(buildOrder());
  expect([goods, amount]).toEqual([undefined, undefined]);
  expect(items.every((item) => item === undefined)).toBe(true);
});

test('an item’s total may be rounded up or down, but not differ by more', () => {
  const differences = (total_price: number) =>
    findDifferences(buildOrder({ items: [{ price: 453, sale: 30, total_price }] })).items;
  expect([316, 317, 318, 319].map((total) => differences(total)[0])).toEqual([
    317n,
    undefined,
    undefined,
    317n,
  ]);
});

test('sums past 2^53 are exact', () => {
  const most = Number.MAX_SAFE_INTEGER;
  const order = buildOrder({
    payment: { amount: most, goods_total: most, delivery_cost: 1, custom_fee: 0 },
    items: [
      { price: most, sale: 0, total_price: most },
      { price: 2, sale: 0, total_price: 2 },
    ],
  });
  const { goods, amount } = findDifferences(order);
  expect([goods, amount]).toEqual([2n ** 53n + 1n, 2n ** 53n]);
});
