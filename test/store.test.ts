import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { migrate } from '../src/migrate.ts';
import { type Order, toOrder } from '../src/order.ts';
import { createStore, isRefused } from '../src/store.ts';
import { buildOrder } from './build-order.ts';
import { silent, testDatabase } from './services.ts';

const text = (minLength: number, maxLength: number) =>
  fc
    .array(
      fc.oneof(
        { weight: 5, arbitrary: fc.string({ unit: 'grapheme-composite', minLength: 1, maxLength: 3 }) },
        fc.constantFrom(
          '\u0001',
          '\u001f',
          '\u007f',
          '\u2028',
          '"',
          '\\',
          '/',
          '\t',
          '\n',
          '\r',
          '\b',
          '\f',
          '{',
          '}',
          ',',
          'NULL',
          '😀',
          '\ufeff',
          '\u202e',
          "'",
        ),
      ),
      { minLength, maxLength },
    )
    .map((parts) => [...parts.join('')].slice(0, maxLength).join('').toWellFormed())
    .filter((value) => [...value].length >= minLength);
const integer = (min: number) =>
  fc.oneof(
    fc.integer({ min, max: 5 + min }),
    fc.maxSafeInteger().map((n) => Math.max(min, Math.abs(n))),
  );

const anyOrder = fc
  .record({
    order_uid: text(10, 50),
    name: text(1, 100),
    address: text(1, 200),
    request_id: text(0, 50),
    amount: integer(1),
    sm_id: integer(0),
    locale: fc.constantFrom('en' as const, 'ru' as const),
    items: fc.array(
      fc.record({ name: text(1, 100), size: text(1, 10), price: integer(1), status: integer(0) }),
      { minLength: 1, maxLength: 4 },
    ),
    date: fc.date({
      min: new Date('0001-01-02T00:00:00Z'),
      max: new Date('2026-01-01'),
      noInvalidDate: true,
    }),
    micros: fc.integer({ min: 0, max: 999_999 }),
  })
  .map(({ order_uid, name, address, request_id, amount, sm_id, locale, items, date, micros }): Order => {
    const base = buildOrder();
    const parsed = toOrder({
      ...base,
      order_uid,
      sm_id,
      locale,
      delivery: { ...base.delivery, name, address },
      payment: { ...base.payment, request_id, amount },
      items: items.map((item) => ({ ...base.items[0], ...item })),
      date_created: `${date.toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}Z`,
    });
    if (!('order' in parsed)) throw new Error(parsed.reason);
    return parsed.order;
  });

test('an order is read as exactly the text that JSON makes of it, whatever its fields hold', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(anyOrder, { selector: (order) => order.order_uid, minLength: 1, maxLength: 20 }),
      async (orders) => {
        await store.save(orders);
        for (const order of orders) {
          const document = await store.find(order.order_uid);
          // An earlier run may have stored another order under this uid, which then stays.
          if (document !== JSON.stringify(order))
            expect(JSON.parse(document ?? 'null').order_uid).toBe(order.order_uid);
          else expect(document).toBe(JSON.stringify(order));
        }
        const all = await store.findAll(orders.map((order) => order.order_uid));
        expect(all.size).toBe(orders.length);
      },
    ),
    { numRuns: 60 },
  );
});
