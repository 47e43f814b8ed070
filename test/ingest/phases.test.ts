import { expect, test } from 'bun:test';
import { deduplicate, isPending, parse } from '../../src/ingest/batch.ts';
import { fenceOf } from '../../src/ingest/fence.ts';
import { createPhases, type Services } from '../../src/ingest/phases.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import type { Order } from '../../src/order/order.ts';
import type { StoredOffset } from '../../src/postgres/offsets.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent } from '../support/kafka-and-postgres.ts';
import { parser } from '../support/order-parser.ts';

const group = { groupId: 'group', topic: 'orders' };
const orderOf = (name: string, more: Partial<Order> = {}) =>
  buildOrder({ order_uid: name.padEnd(10, '.'), ...more });
const uidsOf = (orders: readonly Order[]) => orders.map((order) => order.order_uid);

/** Phases of a batch [0, n) with these orders, on services that are made of the functions given. */
const openPhases = (
  orders: Order[],
  services: Partial<
    Pick<Services, 'saveBatch'> & Services['store'] & Services['offsets'] & Services['deadLetters']
  >,
) => {
  const messages = orders.map((order, offset) => ({
    ...{ topic: 'orders', partition: 0, key: null, timestamp: '0', headers: {} },
    offset: String(offset),
    value: Buffer.from(JSON.stringify(order)),
  }));
  const entries = parse(messages, parser).filter(isPending);
  const claim = { value: 'claim' };
  const unexpected = (name: string) => async () => {
    throw new Error(`${name} was called`);
  };
  const service = {
    saveBatch: unexpected('saveBatch'),
    findAll: unexpected('findAll'),
    findErased: unexpected('findErased'),
    move: unexpected('move'),
    read: unexpected('read'),
    findDeadLettered: unexpected('findDeadLettered'),
    send: unexpected('send'),
    ...services,
  };
  const phases = createPhases(
    {
      group,
      parser,
      saveBatch: service.saveBatch,
      store: service,
      offsets: service,
      deadLetters: service,
      postgres: createServiceState('PostgreSQL', silent),
      kafka: createServiceState('Kafka', silent),
    },
    { partition: 0, from: 0n, to: BigInt(orders.length), messages, leaderEpoch: undefined, claim },
    AbortSignal.timeout(5_000),
  );
  return { ...phases, entries, claim, states: () => entries.map(({ state }) => state) };
};

test('insert halves a batch until it has found the order that PostgreSQL refuses, and inserts the others', async () => {
  const sizes: number[] = [];
  const { insert, entries, states } = openPhases(
    ['a', 'b', 'c', 'd'].map((name) => orderOf(name)),
    {
      async saveBatch({ orders }) {
        sizes.push(orders.length);
        if (orders.some(({ order_uid }) => order_uid.startsWith('c')))
          throw Object.assign(new Error('not this one'), { code: '23514' });
        return { inserted: new Set(uidsOf(orders)), isMoved: false };
      },
    },
  );
  expect(await insert(entries, true)).toBe(false);
  expect(states()).toEqual(['inserted', 'inserted', 'rejected', 'inserted']);
  expect(sizes).toEqual([4, 2, 2, 1, 1]);
  expect(entries[2]?.letter).toMatchObject({
    stage: 'store',
    error: 'PostgresError',
    reason: 'not this one',
  });
});

test('an insert whose answer was lost is done if the stored offset is at the end of the range, and fenced off otherwise', async () => {
  const stored = new Map<number, StoredOffset>();
  let nextOffset = 1n;
  let claimOf = (nextClaim: string) => nextClaim;
  const services = {
    async saveBatch({ range }: { range: { nextClaim: string } }) {
      const unknown = { skippedTo: undefined, topicId: undefined, leaderEpoch: undefined };
      stored.set(0, { nextOffset, ...unknown, claim: claimOf(range.nextClaim) });
      return undefined;
    },
    read: async () => stored,
  };
  const done = openPhases([orderOf('a')], services);
  expect(await done.insert(done.entries, true)).toBe(true);
  expect(done.states()).toEqual(['inserted']);
  expect(done.claim.value).toBe(stored.get(0)?.claim as string);

  nextOffset = 9n;
  claimOf = () => 'another member';
  const fenced = openPhases([orderOf('a')], services);
  const error = await fenced.insert(fenced.entries, true).catch((reason) => reason);
  expect(fenceOf(error)).toEqual({ reason: 'claim', partition: 0, from: 0n, to: 1n, expected: 9n });
  expect([fenced.states(), fenced.claim.value]).toEqual([['pending'], 'claim']);
});

test('compare asks PostgreSQL only for orders that this batch did not decide', async () => {
  const [inserted, known, conflict, refused] = ['a', 'b', 'c', 'd'].map((name) => orderOf(name)) as [
    Order,
    Order,
    Order,
    Order,
  ];
  const asked: string[][] = [];
  const { compare, entries, states } = openPhases([inserted, inserted, known, conflict, refused, refused], {
    async findAll(uids) {
      asked.push([...uids]);
      return new Map(
        [known, { ...conflict, sm_id: conflict.sm_id + 1 }].map((order) => [
          order.order_uid,
          JSON.stringify(order),
        ]),
      );
    },
  });
  deduplicate(entries);
  for (const [index, state] of [
    [0, 'inserted'],
    [4, 'rejected'],
  ] as const)
    (entries[index] as (typeof entries)[number]).state = state;
  await compare(entries);
  // The second of the refused orders stays for the next round: its first was refused, so it is not stored.
  expect(states()).toEqual(['inserted', 'duplicate', 'duplicate', 'rejected', 'rejected', 'pending']);
  expect(asked).toEqual([uidsOf([known, conflict])]);
});

test('an order that is neither inserted nor found is tried once more, and then rejected', async () => {
  const { compare, entries, states } = openPhases([orderOf('a')], {
    findAll: async () => new Map(),
    findErased: async () => new Set(),
  });
  deduplicate(entries);
  await compare(entries);
  expect(states()).toEqual(['pending']);
  await compare(entries);
  expect(states()).toEqual(['rejected']);
  expect(entries[0]?.letter?.error).toBe('OrderMissing');
});

test('a dead letter is sent once, and its digest is returned to be stored', async () => {
  const sent: string[] = [];
  const { deadLetter, entries, states } = openPhases([orderOf('a'), orderOf('b')], {
    findDeadLettered: async () => new Set(['0']),
    async send(letters) {
      for (const { message } of letters) sent.push(message.offset);
    },
  });
  for (const entry of entries) {
    entry.state = 'rejected';
    entry.letter = { message: entry.message, stage: 'store', error: 'E', reason: 'r' };
  }
  expect((await deadLetter(entries)).map(({ offset }) => offset)).toEqual(['1']);
  expect(sent).toEqual(['1']);
  expect(states()).toEqual(['rejected-before', 'rejected']);
});
