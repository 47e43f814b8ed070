import { expect, test } from 'bun:test';
import { createRequire } from 'node:module';

/** Changes of kafkajs in `patches/` that no other test shows. */
const kafkajs = createRequire(import.meta.url);

const filter: (fetched: {
  messages: object[];
  abortedTransactions: object[];
}) => { offset: string; isControlRecord: boolean }[] = createRequire(import.meta.url)(
  'kafkajs/src/consumer/filterAbortedMessages',
);

/** The key of an abort marker. */
const marker = Buffer.from([0, 0, 0, 0]);
const messageAt = (
  offset: string,
  producerId: string,
  of: { key?: Buffer; isControlRecord?: boolean } = {},
) => ({
  offset,
  key: null,
  isControlRecord: false,
  batchContext: { producerId, inTransaction: true },
  ...of,
});
const abortAt = (offset: string, producerId: string) =>
  messageAt(offset, producerId, { key: marker, isControlRecord: true });
/** Consumers drop control records afterwards. */
const offsetsOf = (messages: ReturnType<typeof filter>) =>
  messages.filter(({ isControlRecord }) => !isControlRecord).map(({ offset }) => offset);

test('an ordinary message with the key of an abort marker ends no aborted transaction', () => {
  const messages = [
    messageAt('10', '1', { key: marker }),
    messageAt('11', '1'),
    abortAt('12', '1'),
    messageAt('13', '1'),
  ];
  const abortedTransactions = [{ producerId: '1', firstOffset: '10' }];
  expect(offsetsOf(filter({ messages, abortedTransactions }))).toEqual(['13']);
});

test('of several transactions that were open at the start of a fetch, in any order, no aborted message comes through', () => {
  const messages = [
    messageAt('10', '2'),
    messageAt('11', '1'),
    messageAt('12', '3'),
    abortAt('13', '2'),
    abortAt('14', '1'),
  ];
  const abortedTransactions = [
    { producerId: '2', firstOffset: '6' },
    { producerId: '1', firstOffset: '4' },
  ];
  expect(offsetsOf(filter({ messages, abortedTransactions }))).toEqual(['12']);
});

test('a connection that is neither throttled nor has requests pending runs no timer; one that has, checks again', () => {
  const RequestQueue = kafkajs('kafkajs/src/network/requestQueue');
  const queue = new RequestQueue({ maxInFlightRequests: 1 });
  queue.scheduleCheckPendingRequests();
  expect(queue.throttleCheckTimeoutId).toBeNull();
  for (const busy of [{ pending: [{}] }, { throttledUntil: Date.now() + 60_000 }]) {
    const waiting = Object.assign(new RequestQueue({ maxInFlightRequests: 1 }), busy);
    waiting.scheduleCheckPendingRequests();
    expect(waiting.throttleCheckTimeoutId).not.toBeNull();
    clearTimeout(waiting.throttleCheckTimeoutId);
  }
});
