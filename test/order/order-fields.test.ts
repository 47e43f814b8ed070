import { expect, test } from 'bun:test';
import { badKinds } from '../../src/producer/bad-message.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { accepts, bytes, fieldOf, reasonOf, withField } from '../support/order-field.ts';
import { orderSchema, parseOrder } from '../support/order-parser.ts';

// The table of docs/messages.md, line by line.
const texts: Record<string, [min: number, max: number]> = {
  order_uid: [10, 50],
  entry: [1, 10],
  oof_shard: [1, 10],
  shardkey: [1, 10],
  customer_id: [1, 50],
  delivery_service: [1, 50],
  internal_signature: [0, 50],
  'delivery.name': [1, 100],
  'delivery.city': [1, 100],
  'delivery.region': [1, 100],
  'delivery.address': [1, 200],
  'delivery.zip': [1, 20],
  'payment.transaction': [1, 50],
  'payment.request_id': [0, 50],
  'payment.bank': [1, 50],
  'items.0.rid': [1, 50],
  'items.0.name': [1, 100],
  'items.0.size': [1, 10],
  'items.0.brand': [1, 100],
};
const patterned: Record<string, { good: string[]; bad: string[] }> = {
  ...Object.fromEntries(
    ['track_number', 'items.0.track_number'].map((path) => [
      path,
      {
        good: ['ABCDEFGH', '12345678', 'A'.repeat(20), '00000000'],
        bad: [
          '',
          'ABCDEFG',
          'A'.repeat(21),
          'abcdefgh',
          'ABCDEFG-',
          'ABCDEFGH\n',
          '\nABCDEFGH',
          'АБВГДЕЖЗ',
          'ABCD EFGH',
        ],
      },
    ]),
  ),
  'delivery.phone': {
    good: ['+12345', `+${'9'.repeat(15)}`, '+00000'],
    bad: ['', '+1234', `+${'9'.repeat(16)}`, '12345', '+1234a', '+1 23456', '+123456\n', '+١٢٣٤٥', '++12345'],
  },
  'delivery.email': {
    good: [
      'a@b',
      'test@gmail.com',
      'имя@почта.рф',
      "o'neil+tag@example.co.uk",
      'a@xn--80akhbyknj4f',
      `${'a'.repeat(98)}@b`,
    ],
    bad: [
      '',
      'a',
      '@b',
      'a@',
      'a b@c',
      'a@b c',
      'a@@b',
      'a@b@c',
      'a@-b',
      'a@b-',
      'a@b..c',
      'a@.b',
      'a@b.',
      'a@b\n',
      `${'a'.repeat(99)}@b`,
      '<a@b>',
      'a@b>',
    ],
  },
};
const enums: Record<string, string[]> = {
  locale: ['en', 'ru'],
  'payment.currency': ['USD', 'EUR', 'RUB'],
  'payment.provider': ['wbpay', 'applepay', 'googlepay'],
};
const most = Number.MAX_SAFE_INTEGER;
const integers: Record<string, [min: number, max: number]> = {
  sm_id: [0, most],
  'payment.amount': [1, most],
  'payment.payment_dt': [1, most],
  'payment.goods_total': [1, most],
  'payment.delivery_cost': [0, most],
  'payment.custom_fee': [0, most],
  'items.0.chrt_id': [1, most],
  'items.0.nm_id': [1, most],
  'items.0.price': [1, most],
  'items.0.total_price': [1, most],
  'items.0.sale': [0, 100],
  'items.0.status': [0, most],
};

test('the table names every field of an order', () => {
  const named = [...[texts, patterned, enums, integers].flatMap(Object.keys), 'date_created'].sort();
  const { items, delivery, payment, ...order } = buildOrder();
  const there = [
    ...Object.keys(order),
    ...Object.keys(delivery).map((name) => `delivery.${name}`),
    ...Object.keys(payment).map((name) => `payment.${name}`),
    ...Object.keys(items[0] as object).map((name) => `items.0.${name}`),
  ].sort();
  expect(named).toEqual(there);
});

for (const [path, [min, max]] of Object.entries(texts)) {
  test(`${path} has ${min} to ${max} characters`, () => {
    for (const character of ['x', ' ', 'ж', '中', '😀', '\u0301', '\n', '"']) {
      for (const count of [min, min + 1, max - 1, max])
        expect(accepts(withField(path, character.repeat(count)))).toBe(true);
      if (min > 0) expect(accepts(withField(path, character.repeat(min - 1)))).toBe(false);
      expect(accepts(withField(path, character.repeat(max + 1)))).toBe(false);
      expect(accepts(withField(path, character.repeat(max * 3)))).toBe(false);
    }
    for (const half of ['\ud83d', '\ude00', '\ude00\ud83d', '\0'])
      for (const at of [0, 1, min]) {
        const text = 'x'.repeat(at) + half + 'x'.repeat(Math.max(0, min - at - half.length));
        expect(accepts(withField(path, text)), JSON.stringify(text)).toBe(false);
      }
  });
}

for (const [path, { good, bad }] of Object.entries(patterned)) {
  test(`${path} matches its pattern`, () => {
    for (const text of good) expect(accepts(withField(path, text)), text).toBe(true);
    for (const text of bad) expect(accepts(withField(path, text)), JSON.stringify(text)).toBe(false);
  });
}

for (const [path, values] of Object.entries(enums)) {
  test(`${path} is one of ${values.join(', ')}`, () => {
    for (const value of values) expect(accepts(withField(path, value))).toBe(true);
    for (const value of [
      '',
      'XXX',
      `${values[0]} `,
      values[0]?.toUpperCase() === values[0] ? values[0]?.toLowerCase() : values[0]?.toUpperCase(),
      [values[0]],
      'constructor',
    ])
      expect(accepts(withField(path, value)), JSON.stringify(value)).toBe(false);
  });
}

for (const [path, [min, max]] of Object.entries(integers)) {
  test(`${path} is an integer from ${min} to ${max}`, () => {
    for (const value of [min, min + 1, max - 1, max])
      expect(accepts(withField(path, value)), `${value}`).toBe(true);
    for (const value of [min - 1, max + 1, -most, 1.5, '1', '', true, Number.NaN])
      expect(accepts(withField(path, value)), `${value}`).toBe(false);
    const written = (number: string) =>
      parseOrder(Buffer.from(JSON.stringify(withField(path, '@')).replace('"@"', number)));
    const read = (number: string) => {
      const parsed = written(number);
      return 'order' in parsed ? fieldOf(parsed.order, path) : undefined;
    };
    expect(read('1.0')).toBe(1);
    expect(read('1e1')).toBe(10);
    expect(read('100e-2')).toBe(1);
    // Rounded by JSON.parse, as the documentation says.
    expect(read('0.99999999999999999999')).toBe(1);
    for (const number of ['9007199254740992', '9007199254740993', '1e400', '-1e400', '1e-1'])
      expect(read(number), number).toBeUndefined();
    // Zero has no sign, here and in PostgreSQL.
    if (min === 0) expect(Object.is(read('-0'), 0)).toBe(true);
    else expect(read('-0')).toBeUndefined();
  });
}

/** The texts that may be empty may also be absent or null. */
const optional = ['internal_signature', 'payment.request_id'];

test('every field but the optional ones is required, and each has one type', () => {
  const paths = [
    ...[texts, patterned, enums, integers].flatMap(Object.keys),
    'date_created',
    'delivery',
    'payment',
    'items',
    'items.0',
  ];
  for (const path of paths) {
    const wrong = [null, undefined, 1, 'text', true, [], {}, [[]]].filter(
      (value) =>
        typeof value !== typeof fieldOf(buildOrder(), path) ||
        value === null ||
        Array.isArray(value) ||
        path === 'items',
    );
    for (const value of wrong) {
      if (optional.includes(path) && (value === null || value === undefined)) continue;
      if (path === 'items.0' && value === undefined) continue;
      if (path in integers && value === 1) continue;
      const { stage, reason } = reasonOf(bytes(withField(path, value)));
      expect(stage).toBe('validate');
      expect(reason, `${path} ${JSON.stringify(value)}`).toStartWith(
        path === 'items' || path === 'delivery' || path === 'payment' || path === 'items.0'
          ? path
          : `${path} `,
      );
    }
  }
});

test('a reason is one line that names the field and shows nothing of its text', () => {
  const order = createOrderMaker({ seed: 77 })();
  const personal = [...Object.values(order.delivery), order.customer_id, order.payment.transaction];
  for (const { name, make } of Object.entries(badKinds(orderSchema))
    .filter(([family]) => family !== 'conflict')
    .flatMap(([, kinds]) => kinds)) {
    const { stage, reason } = reasonOf(make(order));
    expect(reason, name).toMatch(/^[^\r\n\u2028\u2029]{1,4096}$/);
    for (const value of personal) expect(reason, name).not.toContain(value);
    const field = name.split(' ')[0] as string;
    if (
      /^[a-z_]+(\.[a-z_0-9]+)*$/.test(field) &&
      stage === 'validate' &&
      (field.includes('_') || field.includes('.'))
    )
      expect(reason, name).toStartWith(field);
  }
  const secret = 'Иван\nПетров';
  for (const path of [
    ...Object.keys(texts),
    ...Object.keys(patterned),
    ...Object.keys(enums),
    ...Object.keys(integers),
    'date_created',
  ]) {
    const { reason } = reasonOf(bytes(withField(path, secret.repeat(30))));
    expect(reason).toStartWith(`${path} `);
    expect(reason).not.toContain('Иван');
  }
});
