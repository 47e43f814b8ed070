import { afterEach, expect, setDefaultTimeout, setSystemTime, test } from 'bun:test';
import fc from 'fast-check';
import type { Sql } from 'postgres';
import type { Log } from '../../src/observability/log.ts';
import type { Order } from '../../src/order/order.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { expiryOf } from '../../src/order/retention.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { createErasures } from '../../src/postgres/erasures.ts';
import { createExpiry, expiryIndex, leaseSeconds } from '../../src/postgres/expiry.ts';
import { keepIndexes } from '../../src/postgres/indexes.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { openRetention } from '../../src/retention/open.ts';
import { createRetention } from '../../src/retention/retention.ts';
import { buildOrder } from '../support/build-order.ts';
import { isWaiting } from '../support/is-waiting.ts';
import { silent, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { recordingLog } from '../support/recording-log.ts';

setDefaultTimeout(60_000);
afterEach(() => void setSystemTime());

const dayMs = 86_400_000;
const never = new AbortController().signal;

const daysAgo = (days: number) => new Date(Date.now() - days * dayMs).toISOString();
/** Orders of these ages, in days. */
const ordersOf = (ages: readonly number[]): Order[] =>
  ages.map((age, index) => buildOrder({ order_uid: `order-number-${index}`, date_created: daysAgo(age) }));
const uidsOf = (orders: readonly Order[]) => orders.map((order) => order.order_uid);

const makeIndex = (sql: Sql, needed = [expiryIndex.name]): Promise<boolean> =>
  keepIndexes(sql, { known: [expiryIndex], needed: new Set(needed) }, silent, never);

const openOrders = async (ages: readonly number[], settings: Record<string, string> = {}) => {
  const database = await testDatabase({ connections: 6, settings });
  const { sql } = database;
  await makeIndex(sql);
  const orders = ordersOf(ages);
  await createStore(sql).save(orders);
  return {
    ...database,
    orders,
    store: createStore(sql),
    expiry: createExpiry(sql),
    stored: async () => new Set(await createStore(sql).newest(100_000)),
    retention: (days: number, more: { now?: () => number; log?: Log } = {}) =>
      createRetention({ expiry: createExpiry(sql), days, log: silent, ...more }),
    [Symbol.asyncDispose]: database[Symbol.asyncDispose],
  };
};

test('an order is refused exactly when it would be deleted, to the microsecond', async () => {
  await using world = await openOrders([]);
  const { sql, expiry, store } = world;
  const holder = crypto.randomUUID();
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2200, 0, 1) }),
      fc.uniqueArray(fc.integer({ min: -2_500, max: 2_500 }), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      async (days, now, offsets, limit) => {
        await sql`truncate orders cascade`;
        setSystemTime(new Date(now));
        const { toOrder } = createOrderParser({ ...defaultRules, retentionDays: days });
        const instantOf = (offset: number) => {
          const us = BigInt(expiryOf(days, now)) * 1_000n + BigInt(offset);
          const seconds = new Date(Number(us / 1_000_000n) * 1_000).toISOString().slice(0, 19);
          return `${seconds}.${String(us % 1_000_000n).padStart(6, '0')}Z`;
        };
        const orders = offsets.map((offset) =>
          buildOrder({
            order_uid: `order-number-${offset}`,
            date_created: instantOf(offset).replace(/\.?0+Z$/, 'Z'),
          }),
        );
        const accepted = orders.filter((order) => 'order' in toOrder(order));
        expect(new Set(uidsOf(accepted))).toEqual(
          new Set(offsets.filter((offset) => offset >= 0).map((offset) => `order-number-${offset}`)),
        );
        await store.save(orders);
        for (let from: string | undefined; ; ) {
          const batch = await expiry.deleteBatch({
            holder,
            from,
            expiry: expiryOf(days, now),
            limit,
            isAnnounced: false,
          });
          if (!batch) throw new Error('it has no lease');
          from = batch.last;
          if (batch.deleted < limit) break;
        }
        expect(new Set(await store.newest(100))).toEqual(new Set(uidsOf(accepted)));
      },
    ),
    { numRuns: 60 },
  );
});

test('the reason of a refused order names the setting, and is the same for all ages', () => {
  const parser = createOrderParser({ ...defaultRules, retentionDays: 30 });
  const reason = 'date_created is older than ORDER_RETENTION_DAYS, 30 days';
  expect(ordersOf([31, 400]).map((order) => parser.toOrder(order))).toEqual(
    Array(2).fill({ stage: 'validate', reason }),
  );
  expect('order' in parser.toOrder(ordersOf([29.9])[0])).toBeTrue();
  expect(parser.toOrder(buildOrder({ date_created: '1969-01-01T00:00:00Z' }))).toMatchObject({
    reason: 'date_created is before 1970, as a zero value that stands for a missing date',
  });
});

test('expired orders are deleted with all their parts, without a mark, and the others stay', async () => {
  await using world = await openOrders([40, 31, 29, 0, -0.03, 400]);
  const { sql, orders } = world;
  const { log, lines } = recordingLog();
  const retention = world.retention(30, { log });
  const before = await world.store.latestErasure();
  await retention.run(never);
  expect(await world.stored()).toEqual(new Set(uidsOf(orders.slice(2, 5))));
  for (const table of ['deliveries', 'payments', 'items'])
    expect(
      (await sql`select distinct order_uid from ${sql(table)}`).map(({ order_uid }) => order_uid).sort(),
    ).toEqual(uidsOf(orders.slice(2, 5)).sort());
  expect(await sql`select from erased_orders`).toHaveLength(0);
  expect(retention.deleted()).toBe(3);
  expect(retention.oldestAgeSeconds()).toBeCloseTo((29 * dayMs) / 1000, -2);
  // Processes poll for this number.
  expect(await world.store.latestErasure()).toBeGreaterThan(before);
  expect(lines).toEqual([
    {
      level: 'info',
      text: 'expired orders are deleted',
      fields: { orders: 3, isMore: false, days: 30, before: expect.any(String) },
    },
  ]);
  // A longer time later brings nothing back, and a run without expired orders announces nothing.
  const announced = await world.store.latestErasure();
  await world.retention(365).run(never);
  expect(await world.store.latestErasure()).toBe(announced);
});

test('many orders are deleted in batches, with rests that are several times as long', async () => {
  await using world = await openOrders([]);
  const make = createOrderMaker({ seed: 5 });
  await world.store.save(Array.from({ length: 1_500 }, () => ({ ...make(), date_created: daysAgo(50) })));
  await world.store.save(ordersOf([1]));
  const workMs: number[] = [];
  const retention = createRetention({
    expiry: {
      ...world.expiry,
      async deleteBatch(batch) {
        const begun = performance.now();
        return world.expiry.deleteBatch(batch).finally(() => {
          workMs.push(performance.now() - begun);
        });
      },
    },
    days: 30,
    log: silent,
  });
  const begun = performance.now();
  await retention.run(never);
  const tookMs = performance.now() - begun;
  // The last batch has no rest, and may be the largest.
  const workBeforeRestsMs = workMs.slice(0, -1).reduce((sum, one) => sum + one, 0);
  expect(tookMs).toBeGreaterThan(5 * workBeforeRestsMs);
  expect((await world.stored()).size).toBe(1);
  expect(retention.deleted()).toBe(1_500);
  expect(workMs.length).toBeGreaterThan(2);
});

test('all are deleted by one run where PostgreSQL writes a time with the name of a zone, and reads that as of another', async () => {
  // An hour after another. China's CST is read as America's, which is 14 hours behind.
  const ages = Array.from({ length: 150 }, (_, index) => 50 - index / 24);
  await using world = await openOrders(ages, { datestyle: 'SQL', timezone: "'Asia/Shanghai'" });
  const retention = world.retention(30);
  await retention.run(never);
  expect(retention.deleted()).toBe(150);
});

test('a count or a batch that takes too long stops nothing, and the next batch is the smallest', async () => {
  await using world = await openOrders(Array(30).fill(50));
  const { log, lines } = recordingLog();
  const limits: number[] = [];
  const retention = createRetention({
    expiry: {
      ...world.expiry,
      count: () => Promise.reject(new Error('timeout')),
      deleteBatch(batch) {
        limits.push(batch.limit);
        return limits.length === 1 ? Promise.reject(new Error('timeout')) : world.expiry.deleteBatch(batch);
      },
    },
    days: 30,
    log,
  });
  await expect(retention.run(never)).rejects.toThrow('timeout');
  await retention.run(never);
  expect((await world.stored()).size).toBe(0);
  expect(limits.slice(0, 2)).toEqual([100, 10]);
  expect(lines[0]).toMatchObject({ text: 'expired orders are deleted', fields: { isMore: false } });
});

test('of two processes one deletes at a time, and none waits for the other', async () => {
  await using world = await openOrders([]);
  const make = createOrderMaker({ seed: 5 });
  await world.store.save(Array.from({ length: 900 }, () => ({ ...make(), date_created: daysAgo(50) })));
  const all = [world.retention(30), world.retention(30), world.retention(30)];
  await Promise.all(all.map(({ run }) => run(never)));
  expect(all.map(({ deleted }) => deleted()).sort((a, b) => a - b)).toEqual([0, 0, 900]);
  expect((await world.stored()).size).toBe(0);
});

test('when the process that deletes dies, another goes on after the end of its lease, or at once if it stopped', async () => {
  await using world = await openOrders(Array(30).fill(50));
  const { sql, expiry } = world;
  const batch = { from: undefined, expiry: expiryOf(30, Date.now()), limit: 10, isAnnounced: true };
  const dead = crypto.randomUUID();
  expect(await expiry.deleteBatch({ ...batch, holder: dead })).toMatchObject({ deleted: 10 });
  const other = world.retention(30);
  await other.run(never);
  expect(other.deleted()).toBe(0);
  expect((await world.stored()).size).toBe(20);

  await sql`update order_retention set held_until = held_until - make_interval(secs => ${leaseSeconds})`;
  await other.run(never);
  expect(other.deleted()).toBe(20);

  await world.store.save(ordersOf([60]));
  const stopped = world.retention(30);
  await stopped.run(never);
  expect(stopped.deleted()).toBe(0);
  const stopping = new AbortController();
  stopping.abort();
  await other.runUntil(stopping.signal);
  await stopped.run(never);
  expect(stopped.deleted()).toBe(1);
});

test('a lease from a clock that was set back does not last', async () => {
  await using world = await openOrders([50]);
  await world.sql`update order_retention set holder = gen_random_uuid(), held_until = now() + interval '1 year'`;
  const retention = world.retention(30);
  await retention.run(never);
  expect(retention.deleted()).toBe(1);
});

test.each([
  // By its clock all have expired, and none of them.
  ['ahead', 365, 1],
  ['behind', -380, 0],
])(
  'of a clock of the process and one of PostgreSQL the one that is behind decides: %s',
  async (_, days, deleted) => {
    await using world = await openOrders([400, 29, 0]);
    const { log, texts } = recordingLog();
    const retention = world.retention(30, { now: () => Date.now() + days * dayMs, log });
    await retention.run(never);
    expect(await world.stored()).toEqual(new Set(uidsOf(world.orders.slice(deleted))));
    expect(texts()).toContain(
      'the clocks of this process and of PostgreSQL differ: orders expire by the one that is behind',
    );
  },
);

test('an order that an erasure holds is left to it, and neither waits for the other', async () => {
  await using world = await openOrders([50, 50, 50]);
  const held = world.orders[1]?.order_uid as string;
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const holding = world.sql.begin(async (tx) => {
    await tx`select from orders where order_uid = ${held} for update`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const retention = world.retention(30);
  await retention.run(never);
  expect(await world.stored()).toEqual(new Set([held]));
  expect(retention.behindSeconds()).toBeGreaterThan(0);
  release.resolve();
  await holding;
  expect(await createErasures(world.sql).erase([held])).toBe(1);
  await retention.run(never);
  expect(retention.deleted()).toBe(2);
});

test('orders are stored and looked up while a batch waits', async () => {
  await using world = await openOrders([50, 1]);
  const { sql } = world;
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  // The deletion of a part of the order waits.
  const holding = sql.begin(async (tx) => {
    await tx`select from deliveries where order_uid = ${world.orders[0]?.order_uid as string} for update`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const running = world.retention(30).run(never);
  await until(() => isWaiting(sql, 'order_retention'));
  expect(await world.store.find(world.orders[0]?.order_uid as string)).toBeDefined();
  const fresh = ordersOf([0, 0, 0]).slice(2);
  expect((await world.store.save(fresh)).size).toBe(1);
  release.resolve();
  await holding;
  await running;
  expect(await world.stored()).toEqual(new Set(uidsOf([world.orders[1] as Order, fresh[0] as Order])));
});

test('nothing is deleted without the index, and an invalid one does not count', async () => {
  await using world = await openOrders([50]);
  await makeIndex(world.sql, []);
  const { log, texts } = recordingLog();
  const retention = world.retention(30, { log });
  await retention.run(never);
  await retention.run(never);
  expect(texts()).toEqual(['expired orders are not deleted yet: the index orders_date_created is not there']);
  expect((await world.stored()).size).toBe(1);
  expect(retention.oldestAgeSeconds()).toBeUndefined();
  await makeIndex(world.sql);
  await world.sql`update pg_index set indisvalid = false where indexrelid = 'orders_date_created'::regclass`;
  await retention.run(never);
  const batch = { from: undefined, expiry: Date.now(), limit: 1, isAnnounced: true };
  expect(await world.expiry.deleteBatch({ holder: crypto.randomUUID(), ...batch })).toBeUndefined();
  expect((await world.stored()).size).toBe(1);
  await makeIndex(world.sql);
  await retention.run(never);
  expect(retention.deleted()).toBe(1);
});

test('an index that another process has dropped is made again, and the age of the oldest order is unknown without it', async () => {
  await using world = await openOrders([50, 1]);
  const { sql } = world;
  let makes = 0;
  let isPrevented = false;
  const retention = createRetention({
    expiry: world.expiry,
    days: 30,
    log: silent,
    async makeIndex() {
      makes++;
      expect(retention.oldestAgeSeconds()).toBeUndefined();
      return isPrevented ? false : makeIndex(sql);
    },
  });
  await makeIndex(sql, []);
  await retention.run(never);
  expect(retention.deleted()).toBe(1);
  await world.store.save(ordersOf([1, 1, 60]).slice(2));
  await makeIndex(sql, []);
  await retention.run(never);
  expect(retention.deleted()).toBe(2);
  expect(retention.oldestAgeSeconds()).toBeCloseTo(dayMs / 1000, -2);
  expect(makes).toBe(2);
  // Without the right to it, it is not tried again; the owner may make it.
  isPrevented = true;
  await makeIndex(sql, []);
  await retention.run(never);
  await retention.run(never);
  expect(makes).toBe(3);
  expect(retention.oldestAgeSeconds()).toBeUndefined();
  await makeIndex(sql);
  await retention.run(never);
  expect(retention.oldestAgeSeconds()).toBeCloseTo(dayMs / 1000, -2);
});

test('a process without the setting keeps the index while another one has it, and drops it at its start otherwise', async () => {
  await using world = await openOrders([1]);
  const { sql, url } = world;
  const settings = { retentionDays: 30, letterRetentionDays: 1 };
  const isIndexed = async () => (await world.expiry.readAges()) !== undefined;
  const deleting = openRetention(url, settings, silent);
  deleting.start();
  try {
    await until(() => world.expiry.isUsed());
    const { log, texts } = recordingLog();
    const keeping = openRetention(url, { ...settings, retentionDays: null }, log);
    keeping.start();
    await until(() => texts().includes('an index is kept: another process deletes expired orders'));
    expect(await isIndexed()).toBeTrue();
    await keeping.close();
  } finally {
    await deleting.close();
  }
  await until(async () => !(await world.expiry.isUsed()));
  const dropping = openRetention(url, { ...settings, retentionDays: null }, silent);
  dropping.start();
  await until(async () => !(await isIndexed()));
  await dropping.close();
  expect(await sql`select from pg_indexes where indexname = ${expiryIndex.name}`).toHaveLength(0);
});
