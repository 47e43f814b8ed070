import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { describeFaults, faultsIn } from '../../src/order/faults.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { buildOrder } from '../support/build-order.ts';
import { parseOrder } from '../support/order-parser.ts';

const order = buildOrder();
const reasonOf = (json: string) => {
  const parsed = parseOrder(Buffer.from(json));
  if ('order' in parsed) throw new Error('it was accepted');
  return parsed.reason;
};
const reasonWith = (fields: object) => reasonOf(JSON.stringify({ ...order, ...fields }));

test.each([
  ['2021-11-26 06:22:19', 'is no RFC 3339 date-time'],
  ['yesterday', 'is no RFC 3339 date-time'],
  ['2021-13-26T06:22:19', 'is no RFC 3339 date-time'],
  [`2021-11-26T06:22:19.${'0'.repeat(100)}Z`, 'must have at most 100 characters, has 121'],
  ['2021-11-26T06:22:19.5', 'has no time zone'],
  ['1969-12-31T23:59:59Z', 'is before 1970, as a zero value that stands for a missing date'],
  [1_637_907_727, 'must be an RFC 3339 date-time, is a number'],
  [null, 'must be an RFC 3339 date-time, is null'],
])('the cause of a wrong date: %p %s', (date_created, cause) => {
  expect(reasonWith({ date_created })).toBe(`date_created ${cause}`);
});

test.each([
  ['', 'must have 1 to 10 characters, has 0'],
  ['x'.repeat(11), 'must have 1 to 10 characters, has 11'],
  ['a\0b', 'contains NUL'],
  ['a\ud800', 'contains half of a surrogate pair'],
  [7, 'must be text of 1 to 10 characters, is a number'],
  [['WBIL'], 'must be text of 1 to 10 characters, is a list'],
  [undefined, 'is missing'],
])('the cause of a wrong text: %p %s', (entry, cause) => {
  expect(reasonWith({ entry })).toBe(`entry ${cause}`);
});

test('the cause of a wrong value of a list, e-mail address or phone', () => {
  expect(reasonWith({ locale: 1 })).toBe('locale must be one of en, ru, is a number');
  expect(reasonWith({ delivery: { ...order.delivery, email: 'anna', phone: '12345678' } })).toBe(
    'delivery.phone does not match ^\\+[0-9]{5,15}$; delivery.email is no e-mail address',
  );
  expect(reasonWith({ payment: [], items: {} })).toBe(
    'payment must be a JSON object, is a list; items must be a list of 1 to 1000 items, is an object',
  );
});

test('numbers are in a reason as they were sent', () => {
  const json = JSON.stringify({ ...order, sm_id: '@' });
  const sent = (number: string) => reasonOf(json.replace('"@"', number)).split(', is ')[1];
  for (const number of [
    '9223372036854775807',
    '-9007199254740993',
    '1.50',
    '1e400',
    '9007199254740993.0',
    '-1',
    '-1e1',
    '-0.0000001e8',
    '-10E-1',
  ])
    expect(sent(number)).toBe(number);
  const free = JSON.stringify({ ...order, payment: { ...order.payment, amount: '@' } });
  const amount = (number: string) => reasonOf(free.replace(':"@"', ` : ${number}`)).split(', is ')[1];
  for (const number of ['0', '-0', '1e-400', '-1e-400', '0.000', '0e9']) expect(amount(number)).toBe(number);
  expect(sent('1'.repeat(1000))).toBe(`${'1'.repeat(40)}…`);
  // The last of two equal fields counts, and fields of others do not.
  expect(
    reasonOf(`{"sm_id":1.5,"items_":[{"sm_id":2.5}],${json.slice(1).replace('"@"', '9223372036854775806')}`),
  ).toEndWith(', is 9223372036854775806');
});

test('a number is as it was sent in the reason of the longest order, too', () => {
  const long = {
    ...order,
    items: Array.from({ length: 1000 }, () => ({
      ...order.items[0],
      name: 'ж'.repeat(100),
      brand: '🎁'.repeat(100),
    })),
  };
  const json = JSON.stringify({ ...long, sm_id: '@' });
  expect(json.length).toBeGreaterThan(400_000);
  expect(reasonOf(json.replace('"@"', '9223372036854775807'))).toEndWith(', is 9223372036854775807');
});

test('a number in a JSON that is nested too deep, or has too many values, is rounded, and said to be', () => {
  const json = JSON.stringify({ ...order, sm_id: '@' })
    .slice(1)
    .replace('"@"', '1152921504606846976');
  for (const more of [`${'['.repeat(60_000)}${']'.repeat(60_000)}`, `[0${',0'.repeat(300_000)}]`])
    expect(reasonOf(`{"more":${more},${json}`)).toEndWith(', is about 1152921504606847000');
});

test('a reason has at most 20 faults and 4096 bytes, and says that there are more', () => {
  const item = { ...order.items[0], sale: 101 };
  const many = faultsIn(reasonWith({ items: Array.from({ length: 1000 }, () => item) }));
  expect(many).toHaveLength(20);
  const reason = reasonWith({ items: Array.from({ length: 21 }, () => item) });
  expect(reason).toEndWith('items.19.sale must be an integer from 0 to 100, is 101; and more faults');
  expect(reasonWith({ items: Array.from({ length: 20 }, () => item) })).not.toContain('and more');
  const long = describeFaults(Array.from({ length: 10 }, (_, n) => `field_${n} ${'x'.repeat(1_000)}`));
  expect(faultsIn(long)).toHaveLength(4);
  expect(long).toEndWith('; and more faults');

  const strict = createOrderParser({
    ...defaultRules,
    trackPattern: `^${'[A-Z0-9_.:-]'.repeat(16)}$`,
    currencies: Array.from({ length: 200 }, (_, n) => `CURRENCY${n + 10}`),
    providers: Array.from({ length: 200 }, (_, n) => `${n}`.padEnd(50, 'x')),
  });
  const wrong = { ...order, items: Array.from({ length: 1000 }, () => ({ ...item, track_number: 'x' })) };
  const parsed = strict.toOrder(wrong);
  const text = 'reason' in parsed ? parsed.reason : '';
  expect(Buffer.byteLength(text)).toBeWithin(2_000, 4_097);
  expect(text).toContain('CURRENCY29 and 180 more; payment.provider');
});

test('whatever is refused has a fault that names a field', () => {
  const fields = Object.keys(order);
  fc.assert(
    fc.property(fc.subarray(fields, { minLength: 1 }), fc.jsonValue(), (names, value) => {
      const parsed = parseOrder(
        Buffer.from(JSON.stringify({ ...order, ...Object.fromEntries(names.map((n) => [n, value])) })),
      );
      if ('order' in parsed) return true;
      return faultsIn(parsed.reason).every((fault) => names.some((name) => fault.startsWith(name)));
    }),
  );
});
