import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import type { Sql } from 'postgres';
import type { Order } from '../../src/order/order.ts';
import { combineSaves } from '../../src/postgres/combined-saves.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { createStore, type OrderBatch, type Store } from '../../src/postgres/store.ts';
import { buildOrder } from '../support/build-order.ts';
import { isWaiting } from '../support/is-waiting.ts';
import { silent, testDatabase } from '../support/kafka-and-postgres.ts';
import { until } from '../support/until.ts';

setDefaultTimeout(120_000);

const group = { groupId: 'group', topic: 'orders' };
const orderOf = (name: string, more: Partial<Order> = {}) =>
  buildOrder({ order_uid: name.padEnd(10, '.'), ...more });
const uidsOf = ({ orders }: Pick<OrderBatch, 'orders'>) => orders.map((order) => order.order_uid);

/** Claims the partitions 0 to n - 1, whose stored offsets are 0. */
const claimPartitions = async (sql: Sql, count: number) => {
  const claim: string = crypto.randomUUID();
  const partitions = Array.from({ length: count }, (_, partition) => partition);
  await createOffsets(sql).claim(group, partitions, claim);
  await sql`update consumed_offsets set next_offset = 0, leader_epoch = null`;
  return claim;
};

const batchOf = (partition: number, claim: string, orders: Order[], isWhole = true): OrderBatch => ({
  orders,
  range: {
    ...group,
    ...{ partition, from: 0n, to: BigInt(orders.length), leaderEpoch: partition },
    ...{ claim, nextClaim: crypto.randomUUID() },
  },
  isWhole,
});

/** Saves together, and counts the statements by the partitions of their batches. */
const saveOn = (store: Pick<Store, 'saveBatches'>, slowMs = Number.POSITIVE_INFINITY) => {
  const statements: number[][] = [];
  const saveBatch = combineSaves(
    {
      saveBatches(batches) {
        statements.push(batches.map(({ range }) => range.partition));
        return store.saveBatches(batches);
      },
    },
    { log: silent, slowMs },
  );
  return { statements, saveBatch, saveAll: (batches: OrderBatch[]) => Promise.all(batches.map(saveBatch)) };
};

const storedOffsets = async (sql: Sql) =>
  (await sql`select next_offset::int, leader_epoch from consumed_offsets order by partition`).map(
    ({ next_offset, leader_epoch }) => [next_offset, leader_epoch],
  );

test('batches that arrive together are one statement, and all their stored offsets move', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const claim = await claimPartitions(sql, 3);
  const store = createStore(sql);
  const { saveAll, statements } = saveOn(store);
  const batches = [
    batchOf(2, claim, [orderOf('a'), orderOf('b')]),
    batchOf(0, claim, [orderOf('c')]),
    batchOf(1, claim, [orderOf('d'), orderOf('e'), orderOf('f')]),
  ];
  const saved = await saveAll(batches);
  expect(statements).toEqual([[2, 0, 1]]);
  expect(saved).toEqual(batches.map((batch) => ({ inserted: new Set(uidsOf(batch)), isMoved: true })));
  expect(await storedOffsets(sql)).toEqual([
    [1, 0],
    [3, 1],
    [2, 2],
  ]);
  const orders = batches.flatMap((batch) => batch.orders);
  const documents = await store.findAll(orders.map((order) => order.order_uid));
  for (const order of orders) expect(documents.get(order.order_uid)).toBe(JSON.stringify(order));
});

test('a batch that is fenced off does not keep the others from being saved', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const claim = await claimPartitions(sql, 3);
  const { saveAll, statements } = saveOn(createStore(sql));
  const lost = batchOf(1, crypto.randomUUID(), [orderOf('c'), orderOf('d')]);
  const saved = await saveAll([
    batchOf(0, claim, [orderOf('a'), orderOf('b')]),
    lost,
    batchOf(2, claim, [orderOf('e')]),
  ]);
  expect(statements).toHaveLength(1);
  expect(saved.map((one) => one?.isMoved)).toEqual([true, undefined, true]);
  expect(await storedOffsets(sql)).toEqual([
    [2, 0],
    [0, null],
    [1, 2],
  ]);
  expect((await createStore(sql).findAll(uidsOf(lost))).size).toBe(0);
});

test('with an order that is stored already no stored offset moves, and each batch learns what was inserted of it', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  const claim = await claimPartitions(sql, 2);
  const store = createStore(sql);
  await store.save([orderOf('b')]);
  const { saveAll } = saveOn(store);
  const batches = [batchOf(0, claim, [orderOf('a'), orderOf('b')]), batchOf(1, claim, [orderOf('c')])];
  const [one, other] = batches.map(uidsOf) as [string[], string[]];
  expect(await saveAll(batches)).toEqual([
    { inserted: new Set([one[0] as string]), isMoved: false },
    { inserted: new Set(other), isMoved: false },
  ]);
  expect(await storedOffsets(sql)).toEqual([
    [0, null],
    [0, null],
  ]);
  // The new claims are stored: the writes that follow move the offsets.
  for (const { range } of batches)
    expect(await createOffsets(sql).move({ ...range, claim: range.nextClaim })).toBe(true);
});

test('an order that PostgreSQL refuses fails its own batch only, whose partition is saved alone until that succeeds', async () => {
  await using database = await testDatabase();
  const { sql } = database;
  await sql.unsafe(`alter table orders add constraint allowed check (entry <> 'REFUSED')`);
  const claim = await claimPartitions(sql, 3);
  const { saveBatch, saveAll, statements } = saveOn(createStore(sql));
  const [refused, good, last] = [
    batchOf(0, claim, [orderOf('a', { entry: 'REFUSED' })]),
    batchOf(1, claim, [orderOf('b')]),
    batchOf(2, claim, [orderOf('c')]),
  ];
  const outcomes = await Promise.allSettled([saveBatch(refused), saveBatch(good)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  expect(outcomes[0]).toMatchObject({ reason: { code: '23514' } });
  expect(statements).toEqual([[0, 1], [0], [1]]);

  const mended = { ...refused, orders: [orderOf('a')] };
  statements.length = 0;
  expect((await saveAll([mended, last])).map((saved) => saved?.isMoved)).toEqual([true, true]);
  expect(statements).toEqual([[0], [2]]);
  // From now on it is combined with others again.
  statements.length = 0;
  const next = [mended, last].map(({ range }, index) => ({
    orders: [orderOf(`next ${index}`)],
    range: { ...range, from: 1n, to: 2n, claim: range.nextClaim, nextClaim: crypto.randomUUID() },
    isWhole: true,
  }));
  await saveAll(next);
  expect(statements).toEqual([[0, 2]]);
});

test('neither a partition nor an order_uid comes twice in a statement, and a batch that is not whole has one of its own', async () => {
  await using database = await testDatabase({ connections: 4 });
  const { sql } = database;
  const claim = await claimPartitions(sql, 4);
  const { saveAll, statements } = saveOn(createStore(sql));
  const saved = await saveAll([
    batchOf(0, claim, [orderOf('a')]),
    batchOf(1, claim, [orderOf('b')], false),
    batchOf(2, claim, [orderOf('a')]),
    batchOf(3, claim, [orderOf('c')]),
    // Of a member that was replaced, and does not know the claim.
    batchOf(3, crypto.randomUUID(), [orderOf('d')]),
  ]);
  expect(statements).toEqual([[1], [0], [2, 3], [3]]);
  expect(saved.map((one) => one === undefined)).toEqual([false, false, false, false, true]);
  expect(saved[1]).toEqual({ inserted: new Set([orderOf('b').order_uid]), isMoved: false });
  const ofA = [saved[0], saved[2]].filter((one) => one?.inserted.has(orderOf('a').order_uid));
  expect(ofA).toHaveLength(1);
});

const savedAtOnce: Store['saveBatches'] = async (batches) =>
  batches.map((batch) => ({ inserted: new Set(uidsOf(batch)), isMoved: true }));

test('after a statement that was slow each of its partitions is saved alone until one of its own is quick', async () => {
  const slowMs = 500;
  let isSlow = true;
  const { saveAll, statements } = saveOn(
    {
      async saveBatches(batches) {
        // The trigger of one partition's orders, say.
        if (isSlow && batches.some(({ range }) => range.partition === 0)) await Bun.sleep(slowMs + 50);
        return savedAtOnce(batches);
      },
    },
    slowMs,
  );
  const save = async () => {
    statements.length = 0;
    await saveAll([0, 1, 2].map((partition) => batchOf(partition, 'claim', [orderOf(`${partition}`)])));
    return statements.map((one) => one.join());
  };
  expect(await save()).toEqual(['0,1,2']);
  expect(await save()).toEqual(['0', '1', '2']);
  expect(await save()).toEqual(['0', '1,2']);
  isSlow = false;
  expect(await save()).toEqual(['0', '1,2']);
  expect(await save()).toEqual(['0,1,2']);
});

test('a lock that one batch waits for does not keep those waiting that arrived with it', async () => {
  await using database = await testDatabase({ connections: 6 });
  const { sql } = database;
  const claim = await claimPartitions(sql, 3);
  const { saveBatch, statements } = saveOn(createStore(sql));
  const [held, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = sql.begin(async (transaction) => {
    await createStore(transaction as unknown as Sql).save([orderOf('a')]);
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const [locked, one, other] = [0, 1, 2].map((partition) =>
    saveBatch(batchOf(partition, claim, [orderOf(['a', 'b', 'c'][partition] as string)])),
  );
  expect([(await one)?.isMoved, (await other)?.isMoved]).toEqual([true, true]);
  expect(statements).toEqual([[0, 1, 2], [0], [1], [2]]);
  // Alone it waits as long as need be.
  await until(() => isWaiting(sql, 'fence as'));
  release.resolve();
  await holding;
  expect(await locked).toEqual({ inserted: new Set(), isMoved: false });
});

test('only batches of at most 500 rows of orders and items are combined, to statements of at most 2,500', async () => {
  const { saveBatch, statements } = saveOn({ saveBatches: savedAtOnce });
  const ordersOf = (name: string, count: number, items: number) =>
    Array.from({ length: count }, (_, index) => {
      const order = orderOf(`${name}${index}`);
      return {
        ...order,
        items: Array.from({ length: items }, () => order.items[0] as Order['items'][number]),
      };
    });
  const sizes = [100, 101, 100, 100, 1, 100, 100, 1];
  await Promise.all(
    sizes.map((size, partition) =>
      saveBatch(batchOf(partition, 'claim', ordersOf(`${partition}-`, size, 4))),
    ),
  );
  expect(statements).toEqual([[1], [0, 2, 3, 4, 5], [6, 7]]);
});

test('batches that arrive while one waits for a lock are saved', async () => {
  await using database = await testDatabase({ connections: 4 });
  const { sql } = database;
  const claim = await claimPartitions(sql, 3);
  const { saveBatch } = saveOn(createStore(sql));
  const [held, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = sql.begin(async (transaction) => {
    await transaction`select from consumed_offsets where partition = 0 for update`;
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const waiting = saveBatch(batchOf(0, claim, [orderOf('a')]));
  await until(() => isWaiting(sql, 'fence as'));
  expect((await saveBatch(batchOf(1, claim, [orderOf('b')])))?.isMoved).toBe(true);
  release.resolve();
  await holding;
  expect((await waiting)?.isMoved).toBe(true);
});

test('any batches that arrive together store each order once, and an offset moves only if all before it is stored', async () => {
  await using database = await testDatabase({ connections: 4 });
  const { sql } = database;
  const store = createStore(sql);
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const anyBatch = fc.record({
    uids: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }),
    hasClaim: fc.boolean(),
    isWhole: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyBatch, { minLength: 1, maxLength: 5 }),
      fc.subarray(names, { maxLength: 2 }),
      async (given, storedBefore) => {
        await sql`truncate orders, consumed_offsets cascade`;
        await store.save(storedBefore.map((name) => orderOf(name)));
        const claim = await claimPartitions(sql, given.length);
        const batches = given.map(({ uids, hasClaim, isWhole }, partition) =>
          batchOf(
            partition,
            hasClaim ? claim : crypto.randomUUID(),
            uids.map((uid) => orderOf(uid)),
            isWhole,
          ),
        );
        const saved = await saveOn(store).saveAll(batches);

        expect(saved.map((one) => one !== undefined)).toEqual(given.map(({ hasClaim }) => hasClaim));
        const offsets = await createOffsets(sql).read(group);
        for (const [partition, { range, orders, isWhole }] of batches.entries()) {
          const [one, offset] = [saved[partition], offsets.get(partition)];
          if (one?.isMoved) expect([one.inserted.size, isWhole]).toEqual([orders.length, true]);
          expect(offset?.nextOffset).toBe(one?.isMoved ? range.to : 0n);
          expect(offset?.claim).toBe(one ? range.nextClaim : claim);
        }
        const inserted = saved.flatMap((one) => [...(one?.inserted ?? [])]).sort();
        const valid = batches.filter((_, index) => given[index]?.hasClaim).flatMap(uidsOf);
        const before = storedBefore.map((name) => orderOf(name).order_uid);
        expect(inserted).toEqual([...new Set(valid)].filter((uid) => !before.includes(uid)).sort());
        const counts = await sql`
          select (select count(*) from orders)::int as orders, (select count(*) from deliveries)::int as deliveries,
            (select count(*) from payments)::int as payments, (select count(distinct order_uid) from items)::int as items`;
        const count = inserted.length + before.length;
        expect({ ...counts[0] }).toEqual({ orders: count, deliveries: count, payments: count, items: count });
      },
    ),
    { numRuns: 60 },
  );
});
