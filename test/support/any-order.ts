/** Orders for property tests: valid and canonical, with the most awkward values that the rules allow. */
import fc from 'fast-check';
import type { Order } from '../../src/order/order.ts';
import { buildOrder } from './build-order.ts';
import { toOrder } from './order-parser.ts';

// biome-ignore format: one awkward text after another
const awkward = ['\u0001', '\u001f', '\u007f', '\u0085', '\u2028', '\u2029', '"', '\\', '/', '\t', '\n', '\r', '\b', '\f', '{', '}', ',', 'NULL', 'null', '😀', '\ufeff', '\u202e', "'", '$1', '\\x41', ' '];

/** Text with a length within the limits, in characters. */
const anyText = (minLength: number, maxLength: number) =>
  fc
    .array(
      fc.oneof(
        { weight: 5, arbitrary: fc.string({ unit: 'grapheme-composite', minLength: 1, maxLength: 3 }) },
        { weight: 2, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }) },
        { weight: 5, arbitrary: fc.constantFrom(...awkward) },
      ),
      { minLength, maxLength },
    )
    .map((parts) => [...parts.join('').replaceAll('\0', '0').toWellFormed()].slice(0, maxLength).join(''))
    .filter((value) => [...value].length >= minLength);

const anyInteger = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  fc.oneof(
    fc.integer({ min, max: Math.min(min + 5, max) }),
    fc.integer({ min, max }),
    fc.constantFrom(min, max),
  );

const anyDate = fc
  .record({
    date: fc.date({
      min: new Date('1970-01-01T00:00:00Z'),
      max: new Date('2026-01-01'),
      noInvalidDate: true,
    }),
    fraction: fc.oneof(fc.constant(''), fc.stringMatching(/^\.[0-9]{1,9}$/)),
  })
  .map(({ date, fraction }) => `${date.toISOString().slice(0, 19)}${fraction}Z`);

const trackNumber = fc.stringMatching(/^[A-Z0-9]{8,20}$/);

export const anyOrder: fc.Arbitrary<Order> = fc
  .record({
    order_uid: anyText(10, 50),
    track_number: trackNumber,
    entry: anyText(1, 10),
    delivery: fc.record({
      name: anyText(1, 100),
      phone: fc.stringMatching(/^\+[0-9]{5,15}$/),
      zip: anyText(1, 20),
      city: anyText(1, 100),
      address: anyText(1, 200),
      region: anyText(1, 100),
      email: fc.constantFrom('a@b', 'имя@почта.рф', "o'neil+x@example.com"),
    }),
    payment: fc.record({
      transaction: anyText(1, 50),
      request_id: anyText(0, 50),
      currency: fc.constantFrom('USD', 'EUR', 'RUB'),
      provider: fc.constantFrom('wbpay', 'applepay', 'googlepay'),
      amount: anyInteger(1),
      payment_dt: anyInteger(1),
      bank: anyText(1, 50),
      delivery_cost: anyInteger(0),
      goods_total: anyInteger(1),
      custom_fee: anyInteger(0),
    }),
    items: fc.array(
      fc.record({
        chrt_id: anyInteger(1),
        track_number: trackNumber,
        price: anyInteger(1),
        rid: anyText(1, 50),
        name: anyText(1, 100),
        sale: anyInteger(0, 100),
        size: anyText(1, 10),
        total_price: anyInteger(1),
        nm_id: anyInteger(1),
        brand: anyText(1, 100),
        status: anyInteger(0),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    locale: fc.constantFrom('en', 'ru'),
    internal_signature: anyText(0, 50),
    customer_id: anyText(1, 50),
    delivery_service: anyText(1, 50),
    shardkey: anyText(1, 10),
    sm_id: anyInteger(0),
    date_created: anyDate,
    oof_shard: anyText(1, 10),
  })
  .map((candidate) => {
    const parsed = toOrder({ ...buildOrder(), ...candidate });
    if (!('order' in parsed)) throw new Error(parsed.reason);
    return parsed.order;
  });
