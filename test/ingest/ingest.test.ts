import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import type { DeadLetter } from '../../src/ingest/dead-letter.ts';
import type { Order } from '../../src/order/order.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { anyOrder } from '../support/any-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { ingestOn, messageOf, never } from '../support/ingest-on.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';
import { parseOrder } from '../support/order-parser.ts';

setDefaultTimeout(240_000);

const refuseByName = `
  alter table orders add constraint allowed check (entry <> 'CHECK');
  create function refuse() returns trigger language plpgsql as $$
    begin
      if new.name = 'RAISE' then raise exception E'not this one,\nnever' ; end if;
      if new.name = 'SWALLOW' then return null; end if;
      return new;
    end $$;
  create trigger refuse before insert on items for each row execute function refuse();
  create function swallow() returns trigger language plpgsql as $$
    begin return case when new.entry = 'SWALLOW' then null else new end; end $$;
  create trigger swallow before insert on orders for each row execute function swallow()`;

test('any batch has the same effect as its messages one by one', async () => {
  await using database = await testDatabase();
  await database.sql.unsafe(refuseByName);
  const store = createStore(database.sql);
  const base = createOrderMaker({ seed: 4 })();
  const refusals = ['', '', '', 'CHECK', 'RAISE', 'SWALLOW'] as const;
  const anyMessage = fc.oneof(
    {
      weight: 1,
      arbitrary: fc.constantFrom(null, '', '{', '[]', '{}', JSON.stringify({ ...base, sm_id: -1 })),
    },
    {
      weight: 8,
      arbitrary: fc
        .record({
          uid: fc.integer({ min: 0, max: 7 }),
          version: fc.integer({ min: 0, max: 2 }),
          refused: fc.constantFrom(...refusals),
        })
        .map(({ uid, version, refused }) => {
          const order = { ...base, order_uid: `order-number-${uid}`, sm_id: version };
          if (refused === 'CHECK' || refused === 'SWALLOW') order.entry = refused;
          if (refused === 'RAISE')
            order.items = [...order.items, { ...(order.items[0] as Order['items'][0]), name: 'RAISE' }];
          return JSON.stringify(order);
        }),
    },
  );
  const anyBatches = fc.array(fc.array(anyMessage, { maxLength: 30 }), { minLength: 1, maxLength: 4 });

  await fc.assert(
    fc.asyncProperty(anyBatches, async (batches) => {
      await database.sql`truncate orders cascade`;
      const { ingest, isMoved, sent } = ingestOn(database.sql);
      const known = new Map<string, string>();
      for (const values of batches) {
        const messages = values.map(messageOf);
        const expected = {
          stored: [] as string[],
          duplicates: 0,
          letters: new Map<string, DeadLetter['stage']>(),
        };
        for (const message of messages) {
          const parsed = parseOrder(message.value);
          if (!('order' in parsed)) {
            expected.letters.set(message.offset, parsed.stage);
            continue;
          }
          const { order } = parsed;
          const text = JSON.stringify(order);
          const before = known.get(order.order_uid);
          const isRefused = order.entry !== base.entry || order.items.length > base.items.length;
          if (before === text) expected.duplicates++;
          else if (before !== undefined || isRefused) expected.letters.set(message.offset, 'store');
          else {
            known.set(order.order_uid, text);
            expected.stored.push(text);
          }
        }
        const outcome = await ingest(messages, never);
        expect(outcome.stored.map((order) => JSON.stringify(order)).sort()).toEqual(expected.stored.sort());
        expect(outcome.duplicates).toBe(expected.duplicates);
        expect(new Map(outcome.letters.map(({ message, stage }) => [message.offset, stage]))).toEqual(
          expected.letters,
        );
        expect(outcome.letters).toHaveLength(expected.letters.size);
        expect(outcome.stored.length + outcome.duplicates + outcome.letters.length).toBe(messages.length);
        expect(sent.splice(0)).toEqual(outcome.letters);
        for (const { reason } of outcome.letters) expect(reason).toMatch(/^[^\n]+$/);
        expect(await isMoved()).toBe(true);
      }
      const stored = await store.findAll([...known.keys()]);
      expect(stored).toEqual(known);
      expect(await store.newest(100)).toHaveLength(known.size);
    }),
    { numRuns: 150 },
  );
});

test('any order in a message is read from the store unchanged', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const { ingest } = ingestOn(database.sql);
  await fc.assert(
    fc.asyncProperty(anyOrder, async (order) => {
      await database.sql`truncate orders cascade`;
      // Other fields, another order of fields and spaces change nothing.
      const text = JSON.stringify(
        { unknown: 1, ...Object.fromEntries(Object.entries(order).reverse()) },
        null,
        1,
      );
      const outcome = await ingest([messageOf(text), messageOf(order)], never);
      expect(outcome).toEqual({
        stored: [order],
        duplicates: 1,
        letters: [],
        erased: 0,
        lettersBefore: 0,
        tombstones: 0,
      });
      expect(await store.find(order.order_uid)).toBe(JSON.stringify(order));
    }),
    { numRuns: 100 },
  );
});

test('a batch of 500 orders of which PostgreSQL refuses 499 takes less than 1000 statements', async () => {
  await using database = await testDatabase();
  await database.sql.unsafe(refuseByName);
  let saves = 0;
  const { ingest } = ingestOn(database.sql, (store) => ({
    saveBatches: (batches) => {
      saves++;
      return store.saveBatches(batches);
    },
  }));
  const make = createOrderMaker({ seed: 5 });
  const orders = Array.from({ length: 500 }, (_, n) => ({ ...make(), ...(n !== 250 && { entry: 'CHECK' }) }));
  const outcome = await ingest(orders.map(messageOf), never);
  expect(outcome.stored.map((order) => order.order_uid)).toEqual([orders[250]?.order_uid as string]);
  expect(outcome.letters).toHaveLength(499);
  expect(saves).toBeLessThan(1_000);
  expect(outcome.letters[0]).toMatchObject({ stage: 'store', error: 'PostgresError' });
});

test('an order whose optional texts are absent, null or empty is one order, stored with empty ones', async () => {
  await using database = await testDatabase();
  const { ingest, sent } = ingestOn(database.sql);
  const order = buildOrder({ internal_signature: '', payment: { request_id: '' } });
  const without = (value: null | undefined) =>
    JSON.stringify({ ...order, internal_signature: value, payment: { ...order.payment, request_id: value } });
  const forms = [without(undefined), without(null), JSON.stringify(order)].map((form) => messageOf(form));
  expect(await ingest(forms, never)).toMatchObject({ stored: [order], duplicates: 2 });
  for (const form of [without(null), JSON.stringify(order), without(undefined)])
    expect(await ingest([messageOf(form)], never)).toMatchObject({ stored: [], duplicates: 1 });
  expect(sent).toEqual([]);
  expect(await createStore(database.sql).find(order.order_uid)).toBe(JSON.stringify(order));
  // A signature makes it another order.
  await ingest([messageOf(JSON.stringify({ ...order, internal_signature: 'signed' }))], never);
  expect(sent).toMatchObject([{ error: 'OrderConflict' }]);
});

test('500 versions of one order take two queries', async () => {
  await using database = await testDatabase();
  let queries = 0;
  const { ingest } = ingestOn(database.sql, (store) => ({
    saveBatches(batches) {
      queries++;
      return store.saveBatches(batches);
    },
    findAll(uids) {
      queries++;
      return store.findAll(uids);
    },
  }));
  const outcome = await ingest(
    Array.from({ length: 500 }, (_, sm_id) => messageOf(buildOrder({ sm_id }))),
    never,
  );
  expect([outcome.stored.length, outcome.letters.length]).toEqual([1, 499]);
  expect(queries).toBe(2);
});

test('an order that is deleted between insert and compare is stored after all', async () => {
  await using database = await testDatabase();
  const store = createStore(database.sql);
  const order = buildOrder();
  await store.save([order]);
  let deletions = 0;
  const { ingest } = ingestOn(database.sql, (store) => ({
    async findAll(uids) {
      if (deletions++ === 0) await database.sql`delete from orders`;
      return store.findAll(uids);
    },
  }));
  expect(await ingest([messageOf(order)], never)).toEqual({
    stored: [order],
    duplicates: 0,
    letters: [],
    erased: 0,
    lettersBefore: 0,
    tombstones: 0,
  });
});
