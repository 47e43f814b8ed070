import { expect, test } from 'bun:test';
import { deduplicate, isPending, isSameAsFirst, parse } from '../../src/ingest/batch.ts';
import type { Message } from '../../src/kafka/message.ts';
import { buildOrder } from '../support/build-order.ts';
import { parser } from '../support/order-parser.ts';

const messageOf = (value: object | string | null, more: Partial<Message> = {}): Message => ({
  topic: 'orders',
  partition: 0,
  offset: '7',
  key: null,
  value: value === null ? null : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  timestamp: '0',
  headers: {},
  ...more,
});

test('parse makes one entry a message, and rejects those without an order at the stage that failed', () => {
  const order = buildOrder();
  const unreadable = { reason: 'its checksum is wrong', firstOffset: '5', lastOffset: '7', records: 3 };
  const entries = parse(
    [messageOf(order), messageOf('{'), messageOf('{}'), messageOf(null, { unreadable })],
    parser,
  );
  expect(entries.map(({ state }) => state)).toEqual(['pending', 'rejected', 'rejected', 'rejected']);
  expect(entries.map(({ letter }) => letter && [letter.stage, letter.error])).toEqual([
    undefined,
    ['parse', 'ParseError'],
    ['validate', 'ValidationError'],
    ['parse', 'UnreadableBatch'],
  ]);
  expect(entries[0]?.order).toEqual(order);
  expect(entries[3]?.letter).toMatchObject({ reason: unreadable.reason, message: { unreadable } });
});

test('deduplicate returns the first entry of each order_uid, and knows which repeats are the same order', () => {
  const [one, other] = [buildOrder({ order_uid: 'order-one-1' }), buildOrder({ order_uid: 'order-two-2' })];
  const changed = { ...one, sm_id: one.sm_id + 1 };
  const entries = parse(
    [one, other, one, changed].map((order) => messageOf(order)),
    parser,
  ).filter(isPending);
  expect(deduplicate(entries)).toEqual(entries.slice(0, 2));
  expect(entries.map(({ first }) => entries.indexOf(first as (typeof entries)[number]))).toEqual([
    0, 1, 0, 0,
  ]);
  expect(entries.map(isSameAsFirst)).toEqual([true, true, true, false]);
});
