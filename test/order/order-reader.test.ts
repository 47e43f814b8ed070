import { afterEach, expect, setDefaultTimeout, setSystemTime, test } from 'bun:test';
import fc from 'fast-check';
import type { Order } from '../../src/order/order.ts';
import { createOrderReader, mayHaveBadText } from '../../src/order/order-reader.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { anyOrder } from '../support/any-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { bytes, type Json, reasonOf, withField } from '../support/order-field.ts';
import { orderSchema, parser } from '../support/order-parser.ts';

/** `parser.parse` has the fast path and the plain one, `parser.toOrder` the plain one only. */

setDefaultTimeout(120_000);

afterEach(() => {
  setSystemTime();
});

const read = createOrderReader(orderSchema);

/** The order's JSON, or why it is none, without numbers: a parsed value does not show how they were written. */
const outcome = (parsed: ReturnType<typeof parser.parse>) =>
  'order' in parsed
    ? JSON.stringify(parsed.order)
    : parsed.reason.replace(/, is (about )?-?\d.*?(?=;|$)/g, '');

const expectSame = (json: string, { parse, toOrder } = parser) =>
  expect(outcome(parse(Buffer.from(json)))).toBe(outcome(toOrder(JSON.parse(json))));

/** The paths of all parts of a document, as lists of names. */
const pathsOf = (value: unknown, path: string[] = []): string[][] =>
  typeof value === 'object' && value !== null
    ? [path, ...Object.entries(value).flatMap(([name, part]) => pathsOf(part, [...path, name]))]
    : [path];

/** Values at and beyond the limits of every kind of field. */
const edges: unknown[] = [
  ...[undefined, null, true, {}, [], [null], [{}]],
  ...[0, -0, 1, -1, 100, 101, 1.5, 1e300, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), '1', '-0'],
  ...[1, 2, 4, 5, 6, 9, 10, 11, 15, 16, 19, 20, 21, 25, 26, 49, 50, 51, 99, 100, 101, 200, 201].flatMap(
    (count) => ['X', '😀'].map((character) => character.repeat(count)),
  ),
  ...['', '\0', 'a\0bcdefghijkl', '\ud800', '\udc00'.padEnd(12, 'x'), 'é', 'я', '\u2028', '"', '\\', 'a\nb'],
  ...[
    'USD',
    'usd',
    'wbpay',
    'en',
    'EN',
    'ABCDEFGH',
    'ABCDEFGH\n',
    '+12345',
    '+123456\n',
    'a@b',
    'a@b\n',
    'ä@ö.рф',
  ],
  ...['2024-02-29T00:00:00Z', '2023-02-29T00:00:00Z', '2024-02-30T00:00:00Z', '2024-04-31T00:00:00Z'],
  ...['2024-02-28T23:59:59.000001Z', '2024-02-28T23:59:59.10Z', '2024-02-28T10:00:00.1234567Z'],
  ...['2024-02-28T23:59:60Z', '2016-12-31T23:59:60Z', '2024-02-28T24:00:00Z', '2024-02-28T23:60:00Z'],
  ...['2024-02-28t10:00:00z', '2024-02-28T10:00:00+03:00', '2024-02-28T10:00:00', '2024-02-28T10:00:00Z\n'],
  ...['2024-00-28T10:00:00Z', '2024-13-28T10:00:00Z', '2024-01-00T10:00:00Z', '٢٠٢٤-02-28T10:00:00Z'],
  ...['1969-12-28T23:59:59Z', '1970-01-01T00:00:00Z', '0999-01-01T00:00:00Z', '9999-01-01T00:00:00Z'],
];

/** The ways to write a text in JSON. `o` and `Z` are in no keyword. */
const unicode = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
const spellings = {
  plain: (json: string) => json,
  nonAscii: (json: string) => json.replace(/[^\0-\x7f]/g, unicode),
  upperCase: (json: string) =>
    json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unicode(unit).slice(2).toUpperCase()}`),
  letters: (json: string) => json.replace(/[oZ]/g, unicode),
};

test('both paths agree on every part of an order at and beyond its limits', () => {
  const [item] = buildOrder().items;
  for (const path of pathsOf(buildOrder({ items: [item as Order['items'][0]] })).slice(1))
    for (const value of edges) {
      const json = JSON.stringify(withField(path.join('.'), value));
      expectSame(json);
      if (typeof value === 'string' && /[^ -~]/.test(value)) expectSame(spellings.nonAscii(json));
    }
  for (const edge of edges) expectSame(JSON.stringify(edge ?? null));
  for (const count of [1, 1000, 1001])
    expectSame(JSON.stringify(withField('items', Array(count).fill(item))));
});

test('both paths agree on orders with several changes, in any order of fields and in any spelling', () => {
  const message = fc
    .record({
      order: anyOrder,
      changes: fc.array(fc.tuple(fc.nat(), fc.oneof(fc.jsonValue(), fc.constantFrom(...edges))), {
        maxLength: 3,
      }),
      isReversed: fc.boolean(),
      spell: fc.constantFrom(...Object.values(spellings)),
    })
    .map(({ order, changes, isReversed, spell }) => {
      const changed = structuredClone(order) as unknown as Json;
      for (const [place, value] of changes) {
        const paths = pathsOf(changed).slice(1);
        const path = paths[place % paths.length] as string[];
        const parent = path.slice(0, -1).reduce((part, name) => part[name] as Json, changed);
        parent[path.at(-1) as string] = value;
      }
      const fields = Object.entries({ ...changed, more: '\0' });
      return spell(JSON.stringify(isReversed ? Object.fromEntries(fields.reverse()) : changed));
    });
  fc.assert(
    fc.property(message, (json) => {
      expectSame(json);
    }),
    { numRuns: 500 },
  );
});

test('both paths read -0 as 0', () => {
  const json = JSON.stringify(withField('sm_id', 7)).replace('"sm_id":7', '"sm_id":-0');
  for (const parsed of [parser.parse(Buffer.from(json)), parser.toOrder(JSON.parse(json))])
    expect('order' in parsed && Object.is(parsed.order.sm_id, 0)).toBe(true);
});

test('both paths agree on the limits of dates', () => {
  setSystemTime(new Date('2026-02-01T00:00:00.000Z'));
  const expiring = createOrderParser({ ...defaultRules, retentionDays: 10 });
  const ends = ['2026-02-01T01:00:00Z', '2026-02-01T01:00:00.0001Z', '2026-02-01T01:00:00.001Z'];
  const begins = [
    '2026-01-22T00:00:00Z',
    '2026-01-21T23:59:59.999Z',
    '2026-01-20T00:00:00Z',
    '1970-01-01T00:00:00Z',
  ];
  for (const date of [...ends, ...begins])
    for (const rules of [parser, expiring])
      expectSame(JSON.stringify(withField('date_created', date)), rules);
  const old = bytes(withField('date_created', '2026-01-20T00:00:00Z'));
  expect([parser, expiring].map(({ parse }) => 'order' in parse(old))).toEqual([true, false]);
});

test('configured rules are applied, and are not run as code', () => {
  const currency = `"');throw 1;//\${x}`;
  const rules = {
    ...defaultRules,
    currencies: [currency],
    trackPattern: '^[A-Z-]{1,9}["\'`]$',
    freeItems: true,
  };
  const order = {
    ...buildOrder({ track_number: 'A-B`' }),
    payment: { ...buildOrder().payment, currency, amount: 0, goods_total: 0 },
    items: buildOrder().items.map((item) => ({ ...item, track_number: 'Z"', price: 0 })),
  };
  expectSame(JSON.stringify(order));
  expect(createOrderParser(rules).parse(bytes(order))).toEqual({ order });
  expectSame(JSON.stringify(buildOrder()), createOrderParser(rules));
});

test('the fast path accepts what producers send', () => {
  expect(Array.from({ length: 200 }, createOrderMaker({ seed: 1 })).map(read)).not.toContain(undefined);
  fc.assert(fc.property(anyOrder, (order) => JSON.stringify(read(order)) === JSON.stringify(order)));
  expect(read({ ...buildOrder(), internal_signature: null })).toEqual({
    ...buildOrder(),
    internal_signature: '',
  });
});

test('a text that may have NUL or a lone surrogate is left to the plain path', () => {
  const order: Order = buildOrder();
  const suspicious = ['\\u0000', '\\ud83d', '\\uDFFF', '\\\\u0000', 'x\\u0041\\uDbff'];
  const harmless = [
    '\\u0041',
    '\\u2028',
    '\\u0001',
    'ud800',
    '\\n',
    '\\ud7ff',
    '\\ue000',
    JSON.stringify(order),
  ];
  expect(suspicious.every(mayHaveBadText)).toBe(true);
  expect(harmless.some(mayHaveBadText)).toBe(false);
  for (const name of ['a\0b', 'a\ud800', '\udc00'])
    expect(reasonOf(bytes(withField('delivery.name', name))).reason).toStartWith('delivery.name contains');
  const withRawNul = JSON.stringify(order).replace('"entry":"', '"entry":"\0');
  expect(parser.parse(Buffer.from(withRawNul))).toMatchObject({ stage: 'parse' });
});
