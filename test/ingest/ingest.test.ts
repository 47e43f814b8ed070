import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import type { Sql } from 'postgres';
import type { DeadLetter } from '../../src/ingest/dead-letter.ts';
import { createIngest } from '../../src/ingest/ingest.ts';
import type { Message } from '../../src/kafka/message.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import type { Order } from '../../src/order/order.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore, type Store } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { anyOrder } from '../support/any-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { parseOrder, parser } from '../support/order-parser.ts';
import { startProxy } from '../support/tcp-proxy.ts';

setDefaultTimeout(120_000);

let offset = 0;
const messageOf = (value: Order | string | null): Message => ({
  topic: 'orders',
  partition: 0,
  offset: String(offset++),
  key: Buffer.from('key'),
  value: value === null ? null : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  timestamp: '0',
  headers: {},
});

const never = new AbortController().signal;

const group = { groupId: 'group', topic: 'orders' };
let partitions = 0;

/** Ingest of a partition of its own, with dead letters that are only collected. */
const ingestOn = (sql: Sql, around: (store: Store) => Partial<Store> = () => ({})) => {
  const sent: DeadLetter[] = [];
  const postgres = createServiceState('PostgreSQL', silent);
  const kafka = createServiceState('Kafka', silent);
  const faults = { letters: 0 };
  const cancelled: number[] = [];
  const store = createStore(sql);
  const offsets = createOffsets(sql);
  const process = createIngest({
    group,
    parser,
    store: { ...store, ...around(store) },
    offsets,
    postgres,
    kafka,
    cancelled: (orders) => cancelled.push(orders),
    deadLetters: {
      async send(letters) {
        if (faults.letters-- > 0) throw new Error('Kafka is away');
        sent.push(...letters);
      },
    },
  });
  const partition = partitions++;
  const claim = { value: crypto.randomUUID() as string };
  const begun = (async () => {
    await offsets.claim(group, [partition], claim.value);
    const begin = {
      partition,
      start: 0n,
      low: 0n,
      isPastSkip: false,
      isNewTopic: false,
      leaderEpoch: undefined,
    };
    await offsets.begin(group, undefined, [begin], claim.value);
  })();
  let next = 0n;
  const ingest = async (messages: Message[], signal: AbortSignal) => {
    await begun;
    const from = next;
    next += BigInt(messages.length + 1);
    return process({ partition, from, to: next, messages, leaderEpoch: undefined, claim }, signal);
  };
  /** Whether the stored offset is at the end of the last batch. */
  const isMoved = async () => (await offsets.read(group)).get(partition)?.nextOffset === next;
  return { ingest, begun, isMoved, sent, cancelled, postgres, kafka, faults };
};

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
    saveBatch: (...save) => {
      saves++;
      return store.saveBatch(...save);
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
    saveBatch(...save) {
      queries++;
      return store.saveBatch(...save);
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

const behindProxy = async (database: { url: string }) => {
  const url = new URL(database.url);
  const proxy = startProxy({ hostname: url.hostname, port: Number(url.port) });
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const sql = openDatabase({ url: url.href, connections: 2, name: 'test' });
  return {
    ...proxy,
    sql,
    async [Symbol.asyncDispose]() {
      await sql.end({ timeout: 1 });
      await proxy[Symbol.asyncDispose]();
    },
  };
};

test('ingest waits while PostgreSQL is down, and sends no dead letter for it', async () => {
  await using database = await testDatabase();
  await using proxy = await behindProxy(database);
  const { ingest, begun, sent, postgres } = ingestOn(proxy.sql);
  await begun;
  proxy.cut();
  const orders = Array.from({ length: 50 }, createOrderMaker({ seed: 6 }));
  const bad = messageOf('{}');
  const outcome = ingest([...orders.map(messageOf), bad], never);
  await until(() => postgres.reason());
  expect(sent).toEqual([]);
  proxy.resume();
  expect((await outcome).stored).toHaveLength(50);
  expect(sent.map(({ message }) => message)).toEqual([bad]);
  expect(postgres.reason()).toBeUndefined();
});

test('connections cut in the middle, again and again, lose nothing', async () => {
  await using database = await testDatabase();
  await using proxy = await behindProxy(database);
  const { ingest, begun, sent } = ingestOn(proxy.sql);
  await begun;
  const make = createOrderMaker({ seed: 7 });
  const orders: Order[] = [];
  let over = false;
  let cuts = 0;
  const cutting = (async () => {
    while (!over) {
      await until(() => over || proxy.connections() > 0);
      // Later each time: on a busy machine no query would end otherwise.
      await Bun.sleep(Math.random() * 40 + 2 * cuts);
      proxy.cut();
      cuts++;
      await Bun.sleep(5);
      proxy.resume();
      await Bun.sleep(60);
    }
  })();
  const outcomes = [];
  while (orders.length < 600 || cuts < 7) {
    const batch = Array.from({ length: 100 }, make);
    orders.push(...batch);
    outcomes.push(await ingest(batch.map(messageOf), never));
  }
  over = true;
  await cutting;
  expect(cuts).toBeGreaterThan(6);
  expect(sent).toEqual([]);
  expect(outcomes.reduce((sum, { stored, duplicates }) => sum + stored.length + duplicates, 0)).toBe(
    orders.length,
  );
  const stored = await createStore(database.sql).findAll(orders.map((order) => order.order_uid));
  expect(stored).toEqual(new Map(orders.map((order) => [order.order_uid, JSON.stringify(order)])));
});

test('ingest waits while PostgreSQL is frozen', async () => {
  await using database = await testDatabase();
  await using proxy = await behindProxy(database);
  const { ingest, begun } = ingestOn(proxy.sql);
  await begun;
  await ingest([messageOf(buildOrder())], never);
  proxy.freeze();
  let isDone = false;
  const outcome = ingest([messageOf(buildOrder({ order_uid: 'while-frozen' }))], never).finally(() => {
    isDone = true;
  });
  await createStore(database.sql).ping();
  expect(isDone).toBe(false);
  proxy.resume();
  expect((await outcome).stored).toHaveLength(1);
});

test('an abort ends the waiting for PostgreSQL and for Kafka', async () => {
  await using database = await testDatabase();
  await using proxy = await behindProxy(database);
  const { ingest, begun, postgres } = ingestOn(proxy.sql);
  await begun;
  proxy.cut();
  const aborting = new AbortController();
  const waiting = ingest([messageOf(buildOrder())], aborting.signal);
  waiting.catch(() => {});
  await until(() => postgres.reason());
  aborting.abort(new Error('stop'));
  await expect(waiting).rejects.toThrow('stop');

  const { kafka, faults, sent, ...other } = ingestOn(database.sql);
  faults.letters = 1_000;
  const another = new AbortController();
  const letter = other.ingest([messageOf('')], another.signal);
  letter.catch(() => {});
  await until(() => kafka.reason());
  another.abort(new Error('stop'));
  await expect(letter).rejects.toThrow('stop');
  expect(sent).toEqual([]);
  expect(await other.isMoved()).toBe(false);
});

test('a dead letter is sent again until Kafka acknowledges it', async () => {
  await using database = await testDatabase();
  const { ingest, sent, kafka, faults } = ingestOn(database.sql);
  faults.letters = 3;
  const outcome = await ingest([messageOf('{'), messageOf(buildOrder())], never);
  expect(outcome.stored).toHaveLength(1);
  expect(sent).toEqual(outcome.letters);
  expect(kafka.reason()).toBeUndefined();
});

test('a batch for which the statement_timeout is too short is inserted in parts, which is reported', async () => {
  await using database = await testDatabase();
  await database.sql.unsafe(`
    create function dawdle() returns trigger language plpgsql as 'begin perform pg_sleep(0.05); return new; end';
    create trigger dawdle before insert on orders for each row execute function dawdle();
  `);
  const url = new URL(database.url);
  url.searchParams.set('options', '-c statement_timeout=500ms');
  const sql = openDatabase({ url: url.href, connections: 1, name: 'test' });
  const { ingest, isMoved, cancelled, sent, postgres } = ingestOn(sql);
  const orders = Array.from({ length: 40 }, createOrderMaker({ seed: 41 }));
  const outcome = await ingest(orders.map(messageOf), never);
  expect(outcome.stored).toHaveLength(40);
  expect([sent, await isMoved(), postgres.reason()]).toEqual([[], true, undefined]);
  // All would take 2 s, and so would half of them 1 s.
  expect(cancelled.slice(0, 2)).toEqual([40, 20]);
  await sql.end();
});

test('batches that deadlock are tried again', async () => {
  await using database = await testDatabase({ connections: 4 });
  const { ingest, sent } = ingestOn(database.sql);
  const make = createOrderMaker({ seed: 14 });
  const [one, other] = [make(), make()];
  let deadlocks = 0;
  const counting = () =>
    ingestOn(database.sql, (store) => ({
      saveBatch: (...save) =>
        store.saveBatch(...save).catch((error) => {
          deadlocks += Number(error.code === '40P01');
          throw error;
        }),
    }));
  const [left, right] = [counting(), counting()];
  // Each statement holds its first order while it waits at its second one.
  await database.sql.unsafe(`
    create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return new; end $$;
    create trigger slow before insert on orders for each row execute function slow()`);
  const [first, second] = await Promise.all([
    left.ingest([one, other].map(messageOf), never),
    right.ingest([other, one].map(messageOf), never),
  ]);
  expect(deadlocks).toBeGreaterThan(0);
  expect(first.stored.length + second.stored.length).toBe(2);
  expect(first.duplicates + second.duplicates).toBe(2);
  expect([...left.sent, ...right.sent]).toEqual([]);
  expect((await ingest([messageOf(one)], never)).duplicates).toBe(1);
  expect(sent).toEqual([]);
});
