import { expect, test } from 'bun:test';
import { faker } from '@faker-js/faker/locale/ru';
import fc from 'fast-check';
import { badKinds, createBadMessageMaker } from '../../src/producer/bad-message.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { orderSchema, parseOrder, toOrder } from '../support/order-parser.ts';

const now = () => Date.UTC(2026, 0, 1, 12);
const make = (seed: number, count: number) => {
  const next = createOrderMaker({ seed, now });
  return Array.from({ length: count }, next);
};
const anySeed = fc.maxSafeNat();
const forAnyOrder = (holds: (order: ReturnType<typeof buildOrder>) => void) =>
  fc.assert(
    fc.property(anySeed, (seed) => make(seed, 10).forEach(holds)),
    { numRuns: 200 },
  );

const cyrillic = /^[А-ЯЁа-яё0-9 .,()–-]+$/;
const latin = /^[\p{Script=Latin}0-9 .,'’-]+$/u;

test('an order is valid and in canonical form, whatever the seed', () => {
  forAnyOrder((order) => {
    const parsed = toOrder(order);
    expect(parsed).toEqual({ order });
    expect(JSON.stringify((parsed as { order: object }).order)).toBe(JSON.stringify(order));
  });
});

test('the sums of an order agree', () => {
  forAnyOrder(({ items, payment }) => {
    for (const { price, sale, total_price } of items) {
      expect(total_price).toBe(Math.max(1, Math.floor((price * (100 - sale)) / 100)));
    }
    expect(payment.goods_total).toBe(items.reduce((sum, item) => sum + item.total_price, 0));
    expect(payment.amount).toBe(payment.goods_total + payment.delivery_cost + payment.custom_fee);
  });
});

test('names, places and goods are in the language of the locale, and the phone in its country', () => {
  forAnyOrder(({ locale, delivery, items, payment }) => {
    const words = locale === 'ru' ? cyrillic : latin;
    for (const field of ['name', 'city', 'address', 'region'] as const)
      expect(delivery[field]).toMatch(words);
    for (const item of items) expect(item.name).toMatch(words);
    expect(delivery.phone).toStartWith(locale === 'ru' ? '+7' : '+1');
    if (locale === 'en') expect(payment.currency).not.toBe('RUB');
  });
});

test('every item travels under the track number of its order', () => {
  forAnyOrder(({ track_number, items }) => {
    for (const item of items) expect(item.track_number).toBe(track_number);
  });
});

test('an order was paid, then created, within the last minute or so', () => {
  forAnyOrder(({ date_created, payment }) => {
    const created = Date.parse(date_created);
    expect(created).toBeWithin(now() - 60_000, now() + 1);
    expect(created / 1000 - payment.payment_dt).toBeWithin(1, 62);
  });
});

test('orders come in both languages, all currencies and providers, with one item and with many', () => {
  const orders = make(1, 1000);
  const share = (holds: (order: (typeof orders)[number]) => boolean) =>
    orders.filter(holds).length / orders.length;
  expect(share((order) => order.locale === 'ru')).toBeWithin(0.6, 0.8);
  expect(new Set(orders.map((order) => order.payment.currency))).toEqual(new Set(['RUB', 'USD', 'EUR']));
  expect(share((order) => order.locale === 'ru' && order.payment.currency === 'RUB')).toBeGreaterThan(0.55);
  expect(new Set(orders.map((order) => order.payment.provider)).size).toBe(3);
  expect(share((order) => order.items.length <= 5)).toBeWithin(0.9, 1);
  expect(share((order) => order.items.length === 1)).toBeWithin(0.1, 0.3);
});

test('the same seed makes the same orders, whatever else uses faker meanwhile', () => {
  const [one, other] = [createOrderMaker({ seed: 7, now }), createOrderMaker({ seed: 7, now })];
  for (let n = 0; n < 100; n++) {
    const order = one();
    faker.seed(n);
    faker.person.fullName();
    expect(other()).toEqual(order);
  }
});

test('another seed makes other uids, also one that is equal modulo 2^32', () => {
  const uids = [0, 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].flatMap((seed) =>
    make(seed, 1000).map((order) => order.order_uid),
  );
  expect(new Set(uids).size).toBe(5000);
});

test('without a seed two makers share no uid, and a long run repeats none', () => {
  const [one, other] = [createOrderMaker(), createOrderMaker()];
  const uids = Array.from({ length: 10_000 }, () => [one().order_uid, other().order_uid]).flat();
  expect(new Set(uids).size).toBe(20_000);
});

test('without a reference time an order is of the last minute', () => {
  const before = Date.now();
  const { date_created } = createOrderMaker()();
  expect(Date.parse(date_created)).toBeWithin(before - 60_001, Date.now() + 1);
});

test('the order for tests is valid, always the same, and takes overrides in depth', () => {
  expect(toOrder(buildOrder())).toEqual({ order: buildOrder() });
  const order = buildOrder({
    locale: 'en',
    delivery: { city: 'Haifa' },
    items: [{ price: 5 }, { name: 'Hat' }],
  });
  expect(order).toMatchObject({ locale: 'en', delivery: { city: 'Haifa', zip: buildOrder().delivery.zip } });
  expect(order.items.map(({ price, name }) => [price, name])).toEqual([
    [5, buildOrder().items[0]?.name as string],
    [buildOrder().items[0]?.price as number, 'Hat'],
  ]);
  expect(toOrder(order)).toEqual({ order });
});

for (const [family, kinds] of Object.entries(badKinds(orderSchema))) {
  if (family === 'conflict') continue;
  test(`deliberately invalid, ${family}: each of ${kinds.length} is rejected`, () => {
    for (const { name, make } of kinds) {
      const refusal = parseOrder(make(buildOrder()));
      expect(refusal, name).toHaveProperty('reason');
      const field = /^[a-z_]+[a-z0-9_.]*(?= (missing|with NUL|past))/.exec(name)?.[0];
      // The field that was spoiled is the one that is refused.
      if (field) expect((refusal as { reason: string }).reason, name).toStartWith(`${field} `);
    }
  });
}

test('deliberately invalid, conflict: valid orders that differ from the known one under its uid', () => {
  for (const { name, make } of badKinds(orderSchema).conflict) {
    const parsed = parseOrder(make(buildOrder()));
    expect(parsed, name).toMatchObject({ order: { order_uid: buildOrder().order_uid } });
    expect(parsed, name).not.toEqual({ order: buildOrder() });
  }
});

test('bad messages take turns through all families, and leave conflicts out while no order is known', () => {
  const families = Object.keys(badKinds(orderSchema)).length;
  const bytesOf = (known?: ReturnType<typeof buildOrder>) => {
    const next = createBadMessageMaker(orderSchema);
    return Array.from({ length: families }, () => next(buildOrder(), known).value);
  };
  const isConflict = (value: Buffer | null) => 'order' in parseOrder(value);
  expect(bytesOf(buildOrder()).filter(isConflict)).toHaveLength(1);
  expect(bytesOf().filter(isConflict)).toHaveLength(0);
  expect(new Set(bytesOf(buildOrder()).map((value) => value?.toString('latin1'))).size).toBe(families);
});
