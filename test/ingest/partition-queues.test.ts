/** What is fetched while batches are being stored. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import type { Batch } from '../../src/ingest/batch.ts';
import { type Epochs, isAppendable } from '../../src/ingest/fetched-batches.ts';
import type { Message } from '../../src/kafka/message.ts';
import type { Order } from '../../src/order/order.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';

setDefaultTimeout(180_000);

/** A member whose ingest waits for `release` where `isHeld`. */
const openHeld = async (partitions: number, isHeld: (batch: Batch) => boolean) => {
  const pipeline = await openPipeline({ partitions });
  const hold = Promise.withResolvers<void>();
  const batches: Batch[] = [];
  const member = pipeline.join((ingest) => async (batch, signal) => {
    batches.push(batch);
    if (isHeld(batch)) await hold.promise;
    return ingest(batch, signal);
  });
  const make = createOrderMaker({ seed: 1 });
  const orders: Order[] = [];
  return {
    ...pipeline,
    member,
    batches,
    orders,
    release: hold.resolve,
    async sendTo(partition: number) {
      const order = make();
      orders.push(order);
      await pipeline.send([{ key: order.order_uid, value: JSON.stringify(order), partition }]);
      return order.order_uid;
    },
    sendMany(partition: number, count: number) {
      const sent = Array.from({ length: count }, make);
      orders.push(...sent);
      return pipeline.send(
        sent.map((one) => ({ key: one.order_uid, value: JSON.stringify(one), partition })),
      );
    },
    async [Symbol.asyncDispose]() {
      hold.resolve();
      await pipeline[Symbol.asyncDispose]();
    },
  };
};

test('what is fetched while a batch of its partition is being stored is stored as one batch after it', async () => {
  await using world = await openHeld(1, ({ from }) => from === 0n);
  for (let offset = 0n; offset < 6n; offset++) {
    await world.sendTo(0);
    await until(() => world.member.fetched.get(0) === offset);
  }
  expect(world.batches.map(({ from, to }) => [from, to])).toEqual([[0n, 1n]]);
  world.release();
  await world.drained();
  expect(world.batches.map(({ from, to }) => [from, to])).toEqual([
    [0n, 1n],
    [1n, 6n],
  ]);
  expect(world.batches[1]?.messages.map(({ offset }) => offset)).toEqual(['1', '2', '3', '4', '5']);
  expect(await world.store.newest(10)).toEqual(world.orders.map((order) => order.order_uid).reverse());
  expect(await world.storedOffsets()).toEqual(new Map([[0, 6]]));
  expect(world.member.fences).toEqual([]);
});

test('a small batch is stored while small batches of many other partitions are still being stored', async () => {
  const held = 12;
  await using world = await openHeld(held + 1, ({ partition }) => partition !== held);
  for (let partition = 0; partition < held; partition++) await world.sendTo(partition);
  await until(() => world.batches.length === held);
  const uid = await world.sendTo(held);
  await until(() => world.store.find(uid));
  world.release();
  await world.drained();
  expect((await world.store.newest(100)).length).toBe(held + 1);
});

/** More than a partition may have in flight. */
const backlog = 1_300;

test('a partition whose batch is not stored does not keep the others of its broker from being read, and then is read on', async () => {
  await using world = await openHeld(2, ({ partition }) => partition === 0);
  await world.sendMany(0, backlog);
  await until(() => world.batches.length > 0);
  for (let round = 0; round < 3; round++) {
    const uid = await world.sendTo(1);
    await until(() => world.store.find(uid));
  }
  world.release();
  await world.drained();
  expect(await world.storedOffsets()).toEqual(
    new Map([
      [0, backlog],
      [1, 3],
    ]),
  );
  expect((await world.store.newest(2_000)).length).toBe(backlog + 3);
  expect(world.member.fences).toEqual([]);
});

test('partitions that wait with as many batches as may be in flight do not keep another from being read', async () => {
  const stuck = 4;
  await using world = await openHeld(stuck + 1, ({ partition }) => partition !== stuck);
  for (let partition = 0; partition < stuck; partition++) await world.sendMany(partition, backlog);
  await until(() => world.batches.length === stuck);
  await world.sendMany(stuck, backlog);
  await until(async () => (await world.storedOffsets()).get(stuck) === backlog);
  world.release();
  await world.drained();
  expect((await world.store.newest(10_000)).length).toBe((stuck + 1) * backlog);
  expect(world.member.fences).toEqual([]);
});

test('batches become one only if they fit into one and all their records are of one leader epoch', () => {
  const batch = (epochs: Epochs | undefined, count = 1, bytes = 1) => ({
    epochs,
    bytes,
    messages: Array.from({ length: count }, () => ({}) as Message),
  });
  const one = batch({ first: 5, last: 5 });
  expect(isAppendable(one, batch({ first: 5, last: 5 }))).toBe(true);
  expect(isAppendable(one, batch({ first: 5, last: 5 }, 499))).toBe(true);
  expect(isAppendable(one, batch({ first: 5, last: 5 }, 500))).toBe(false);
  expect(isAppendable(one, batch({ first: 5, last: 5 }, 1, 2_097_152))).toBe(false);
  expect(isAppendable(one, batch({ first: 6, last: 6 }))).toBe(false);
  expect(isAppendable(one, batch({ first: 5, last: 6 }))).toBe(false);
  expect(isAppendable(batch({ first: 4, last: 5 }), one)).toBe(false);
  expect(isAppendable(one, batch(undefined))).toBe(false);
});
