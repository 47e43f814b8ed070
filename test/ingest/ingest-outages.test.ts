import { expect, setDefaultTimeout, test } from 'bun:test';
import type { Order } from '../../src/order/order.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { ingestOn, messageOf, never } from '../support/ingest-on.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';
import { startProxy } from '../support/tcp-proxy.ts';

setDefaultTimeout(240_000);

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
      saveBatches: (batches) =>
        store.saveBatches(batches).catch((error) => {
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
