import { afterEach, expect, setSystemTime, test } from 'bun:test';
import fc from 'fast-check';
import { isOrderUid, type Order } from '../../src/order/order.ts';
import { anyOrder } from '../support/any-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { accepts, bytes, reasonOf, withField } from '../support/order-field.ts';
import { parseOrder, toOrder } from '../support/order-parser.ts';

afterEach(() => {
  setSystemTime();
});

test('an order has 1 to 1000 items', () => {
  const item = buildOrder().items[0];
  const items = (count: number) => ({ ...buildOrder(), items: Array.from({ length: count }, () => item) });
  expect([0, 1, 2, 999, 1000, 1001, 20_000].map((count) => accepts(items(count)))).toEqual([
    false,
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
  expect(reasonOf(bytes(items(1001))).reason).toBe('items must be a list of 1 to 1000 items, has 1001');
  const last = items(1000);
  last.items[999] = { ...(item as Order['items'][0]), sale: 101 };
  expect(reasonOf(bytes(last)).reason).toBe('items.999.sale must be an integer from 0 to 100, is 101');
});

test('a date is from 1970 on, and up to an hour in the future', () => {
  setSystemTime(new Date('2026-01-01T00:00:00.000Z'));
  expect(accepts(withField('date_created', '2026-01-01T01:00:00Z'))).toBe(true);
  expect(accepts(withField('date_created', '2026-01-01T04:00:00+03:00'))).toBe(true);
  expect(accepts(withField('date_created', '2026-01-01T01:00:00.001Z'))).toBe(false);
  expect(accepts(withField('date_created', '2026-01-01T00:59:59.999999999Z'))).toBe(true);
  expect(accepts(withField('date_created', '1970-01-01T00:00:00Z'))).toBe(true);
  expect(accepts(withField('date_created', '1969-12-31T23:59:59.999999Z'))).toBe(false);
  expect(accepts(withField('date_created', '0001-01-01T00:00:00Z'))).toBe(false);
  expect(accepts(withField('date_created', '0000-01-01T00:00:00Z'))).toBe(false);
  expect(accepts(withField('date_created', '9999-12-31T23:59:59Z'))).toBe(false);
});

test('a date is kept in UTC, to the microsecond', () => {
  const parsed = toOrder(withField('date_created', '2021-11-26t06:22:19.123456789+03:30'));
  expect('order' in parsed && parsed.order.date_created).toBe('2021-11-26T02:52:19.123456Z');
});

test('a value that is not JSON in UTF-8 is refused at the stage parse', () => {
  const json = JSON.stringify(buildOrder());
  expect(reasonOf(null)).toEqual({ stage: 'parse', reason: 'the message has no value' });
  expect(reasonOf(Buffer.alloc(0))).toEqual({ stage: 'parse', reason: 'the message is empty' });
  expect(reasonOf(Buffer.alloc(4_194_305, 32))).toEqual({
    stage: 'parse',
    reason: 'the message has 4194305 bytes, more than 4194304',
  });
  for (const bad of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80]])
    expect(reasonOf(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bad), Buffer.from('"}')]))).toEqual({
      stage: 'parse',
      reason: 'the message is not UTF-8',
    });
  for (const bad of [
    ' ',
    json.slice(1),
    json.slice(0, -1),
    `${json}${json}`,
    `${json},`,
    `${json}\0`,
    "{'a':1}",
    '{a:1}',
    'NaN',
    '\ufeff',
    '['.repeat(100_000),
  ])
    expect(reasonOf(Buffer.from(bad))).toEqual({ stage: 'parse', reason: 'the message is not JSON' });
  expect(reasonOf(Buffer.from(json, 'utf16le')).stage).toBe('parse');
  // A refusal does not affect the next message.
  expect(accepts(buildOrder())).toBe(true);
});

test('JSON of any other shape is refused at the stage validate', () => {
  const order = buildOrder();
  for (const shape of [
    null,
    true,
    42,
    'text',
    [],
    {},
    [order],
    { order },
    JSON.stringify(order),
    { ...order, items: { 0: order.items[0], length: 1 } },
  ])
    expect(reasonOf(bytes(shape)).stage).toBe('validate');
  expect(reasonOf(bytes([order])).reason).toBe(
    'the message is a list: send each order as a message of its own',
  );
  const deep = Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  expect(reasonOf(deep).stage).toBe('validate');
  // Fields of a prototype do not count.
  const { order_uid: uid, ...rest } = order;
  expect(
    reasonOf(Buffer.from(`{"__proto__":{"order_uid":"${uid}"},${JSON.stringify(rest).slice(1)}`)).reason,
  ).toBe('order_uid is missing');
});

test('unknown fields are ignored, the last of two equal fields counts, and the order of fields does not matter', () => {
  const order = buildOrder();
  const json = JSON.stringify(order);
  const parse = (text: string) => {
    const parsed = parseOrder(Buffer.from(text));
    return 'order' in parsed ? JSON.stringify(parsed.order) : parsed.reason;
  };
  expect(parse(`{"more":{"a":[1]},"__proto__":{"x":1},"constructor":1,"toJSON":2,${json.slice(1)}`)).toBe(
    json,
  );
  expect(parse(json.replace('"items":[{', '"items":[{"more":1,"__proto__":[],'))).toBe(json);
  expect(parse(`{"order_uid":"x",${json.slice(1)}`)).toBe(json);
  expect(parse(`${json.slice(0, -1)},"sm_id":-1}`)).toStartWith('sm_id must be');
  expect(parse(JSON.stringify(Object.fromEntries(Object.entries(order).reverse()), null, 2))).toBe(json);
  expect(parse(`\ufeff${json}`)).toBe(json);
  expect(parse(json.replaceAll('"sm_id"', '"\\u0073m_id"'))).toBe(json);
});

test('parsing the JSON of an order gives the same JSON', () => {
  fc.assert(
    fc.property(anyOrder, (order) => {
      const json = JSON.stringify(order);
      const parsed = parseOrder(Buffer.from(json));
      expect('order' in parsed && JSON.stringify(parsed.order)).toBe(json);
    }),
  );
});

test('the parser throws at no message', () => {
  const order = JSON.parse(JSON.stringify(buildOrder()));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => 'reason' in parseOrder(bytes)));
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(order)), fc.jsonValue(), (field, value) => {
      const parsed = parseOrder(bytes({ ...order, [field]: value }));
      return 'order' in parsed || /^[^\n]+$/.test(parsed.reason);
    }),
    { numRuns: 2_000 },
  );
});

test('a uid is 10 to 50 characters of text', () => {
  expect(['x'.repeat(10), '😀'.repeat(50), 'x'.repeat(50)].every(isOrderUid)).toBe(true);
  expect(
    [
      '',
      'x'.repeat(9),
      'x'.repeat(51),
      '😀'.repeat(9),
      `\0${'x'.repeat(10)}`,
      '\ud800'.padEnd(12, 'x'),
      1,
      null,
      undefined,
      ['x'.repeat(10)],
    ].some(isOrderUid),
  ).toBe(false);
});
