import { afterEach, expect, setSystemTime, test } from 'bun:test';
import { createOrderParser } from '../../src/order/parser.ts';
import { defaultRules, type OrderRules } from '../../src/order/rules.ts';

/** `field/` has orders in the forms in which real programs send theirs. */

afterEach(() => {
  setSystemTime();
});

const parseFile = async (name: string, rules: Partial<OrderRules> = {}) =>
  createOrderParser({ ...defaultRules, ...rules }).parse(
    await Bun.file(`${import.meta.dir}/field/${name}.json`).bytes(),
  );
const refused = (reason: string) => ({ stage: 'validate' as const, reason });

test('a date that is the zero value of a program is refused', async () => {
  expect(await parseFile('zero-date')).toEqual(
    refused('date_created is before 1970, as a zero value that stands for a missing date'),
  );
});

test.each(['optional-absent', 'optional-null'])(
  'texts that may be empty may be absent or null (%s): the order has empty ones',
  async (name) => {
    const sent = await Bun.file(`${import.meta.dir}/field/${name}.json`).json();
    const { order_uid } = sent;
    const expected = { ...sent, internal_signature: '', payment: { ...sent.payment, request_id: '' } };
    const parsed = await parseFile(name);
    expect(parsed).toEqual({ order: expected });
    // In the schema's order, as a stored order is compared with it as text.
    const full = createOrderParser(defaultRules).toOrder(expected);
    expect(JSON.stringify(parsed)).toBe(JSON.stringify(full));
    expect(JSON.stringify(parsed)).toContain(`"transaction":"${order_uid}","request_id":"","currency"`);
  },
);

test('a reason names every fault', async () => {
  expect(await parseFile('five-faults')).toEqual(
    refused(
      [
        'track_number does not match ^[A-Z0-9]{8,20}$',
        'payment.currency is not one of USD, EUR, RUB',
        'payment.amount must be an integer from 1 to 9007199254740991, is 0',
        'items.0.sale must be an integer from 0 to 100, is 101',
        'sm_id must be an integer from 0 to 9007199254740991, is -1',
      ].join('; '),
    ),
  );
});

test('another currency is refused, unless the rules list it', async () => {
  expect(await parseFile('currency-cny')).toEqual(refused('payment.currency is not one of USD, EUR, RUB'));
  expect(await parseFile('currency-cny', { currencies: ['RUB', 'CNY'] })).toMatchObject({
    order: { payment: { currency: 'CNY' } },
  });
});

test('a track number with dashes is refused, unless the pattern of the rules has them', async () => {
  expect(await parseFile('track-with-dashes')).toEqual(
    refused('track_number does not match ^[A-Z0-9]{8,20}$'),
  );
  expect(await parseFile('track-with-dashes', { trackPattern: '^[A-Z0-9-]{8,20}$' })).toMatchObject({
    order: { track_number: 'WB-IL-2024-0001' },
  });
});

test('a date without a time zone, and one in the future, are refused for their own causes', async () => {
  expect(await parseFile('date-without-zone')).toEqual(refused('date_created has no time zone'));
  for (const [now, ahead] of [
    ['2998-12-31T21:00:00Z', '3 h'],
    ['2998-12-31T22:54:01Z', '66 min'],
    ['2998-12-22T00:00:00Z', '10 days'],
  ] as const) {
    setSystemTime(new Date(now));
    expect(await parseFile('date-three-hours-ahead')).toEqual(
      refused(`date_created must be at most 1 h ahead, is ${ahead} ahead`),
    );
  }
});

test('a time of payment in ms is accepted: the rule allows it', async () => {
  expect(await parseFile('payment-dt-in-ms')).toMatchObject({
    order: { payment: { payment_dt: 1_637_907_727_000 } },
  });
});

test('a number that is too large is in the reason as it was sent', async () => {
  expect(await parseFile('big-integer')).toEqual(
    refused('payment.amount must be an integer from 1 to 9007199254740991, is 9223372036854775807'),
  );
});

test('a free item is refused, unless the rules allow free items', async () => {
  expect(await parseFile('free-gift')).toEqual(
    refused('items.0.total_price must be an integer from 1 to 9007199254740991, is 0'),
  );
  expect(await parseFile('free-gift', { freeItems: true })).toMatchObject({
    order: { items: [{ sale: 100, total_price: 0 }] },
  });
});
