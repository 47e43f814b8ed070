import { expect, setDefaultTimeout, test } from 'bun:test';

import { CompressionTypes } from 'kafkajs';
import type { Order } from '../../src/order/order.ts';
import { badKinds } from '../../src/producer/bad-message.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { buildOrder } from '../support/build-order.ts';
import { brokers, topicName, until } from '../support/kafka-and-postgres.ts';
import { orderSchema } from '../support/order-parser.ts';
import { openPipeline } from '../support/pipeline.ts';
import { testWith } from '../support/test-with.ts';

// A rebalance takes seconds, and longer on a busy machine.
setDefaultTimeout(90_000);

type Pipeline = Awaited<ReturnType<typeof openPipeline>>;
const isReal = Boolean(process.env.KAFKA_BROKERS);
const ordersOf = (count: number, seed = 1) => Array.from({ length: count }, createOrderMaker({ seed }));
const messageOf = (order: Order) => ({ key: order.order_uid, value: JSON.stringify(order) });

test('every kind of bad message becomes an unchanged dead letter, and the good ones between them are stored', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const kinds = Object.values(badKinds(orderSchema)).flat();
  const good = ordersOf(kinds.length + 1);
  const known = good[0] as Order;
  const bad = kinds.map(({ name, make }, index) => ({
    key: known.order_uid,
    value: make(
      name.startsWith('other') || name.startsWith('an item twice') ? known : (good[index + 1] as Order),
    ),
    timestamp: String(1_700_000_000_000 + index),
    headers: { kind: name, none: null as never, twice: ['a', 'b'], constructor: 'c', number: `${index}` },
  }));
  await pipeline.send([messageOf(known)]);
  await pipeline.send(
    good.slice(1).flatMap((order, index) => [bad[index] as (typeof bad)[0], messageOf(order)]),
  );
  pipeline.join();
  await pipeline.drained();

  const stored = await pipeline.store.findAll(good.map((order) => order.order_uid));
  expect([...stored.values()].sort()).toEqual(good.map((order) => JSON.stringify(order)).sort());

  const letters = await pipeline.letters();
  expect(letters).toHaveLength(bad.length);
  const byKind = new Map(letters.map((letter) => [String(letter.headers.kind), letter]));
  for (const [index, message] of bad.entries()) {
    const letter = byKind.get(message.headers.kind);
    expect(letter?.value, message.headers.kind).toEqual(message.value);
    expect(letter?.key?.toString()).toBe(known.order_uid);
    expect(letter?.timestamp).toBe(message.timestamp);
    const { headers } = letter as NonNullable<typeof letter>;
    expect(headers.none).toBeNull();
    expect(headers.twice).toEqual([Buffer.from('a'), Buffer.from('b')]);
    expect(Object.entries(headers).find(([name]) => name === 'constructor')?.[1]).toEqual(Buffer.from('c'));
    const said = (name: string) => String(headers[`__connect.errors.${name}`]);
    expect(said('topic')).toBe(pipeline.topic);
    expect(['0', '1']).toContain(said('partition'));
    expect(said('offset')).toMatch(/^\d+$/);
    const stage = message.value === null || index === 0 ? 'parse' : said('stage');
    expect(said('stage')).toBe(stage);
    expect(['parse', 'validate', 'store']).toContain(stage);
    const errors = { parse: ['ParseError'], validate: ['ValidationError'], store: ['OrderConflict'] };
    expect(errors[stage as 'parse']).toContain(said('exception.class.name'));
    expect(said('exception.message')).toMatch(/^[^\n]{10,300}$/);
    expect(Object.keys(headers).filter((name) => name.startsWith('__connect.errors.'))).toHaveLength(6);
  }
  const offsets = letters.map(
    ({ headers }) => `${headers['__connect.errors.partition']}/${headers['__connect.errors.offset']}`,
  );
  expect(new Set(offsets).size).toBe(bad.length);
});

const randomBytes = (length: number) => {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
};
const isStored = async ({ store }: Pipeline, orders: Order[]) =>
  (await store.findAll(orders.map((order) => order.order_uid))).size === orders.length;

test('a bad message of 2 MB, or of 3 MB compressed, becomes a dead letter although the topic’s limit was raised during the run', async () => {
  await using pipeline = await openPipeline();
  const member = pipeline.join();
  await until(() => member.assigned().length === 1);
  await pipeline.setLimit(4_194_304);
  const good = ordersOf(3);
  const large = randomBytes(2_097_152);
  const compressible = Buffer.from(
    JSON.stringify({ ...buildOrder(), more: 'x'.repeat(3_145_728), sm_id: -1 }),
  );
  await until(() =>
    pipeline.send([messageOf(good[0] as Order), { key: 'large', value: large }]).catch(() => false),
  );
  await pipeline.send([messageOf(good[1] as Order), { key: 'gzip', value: compressible }], {
    compression: CompressionTypes.GZIP,
  });
  await pipeline.send([messageOf(good[2] as Order)]);
  await pipeline.drained();
  expect(await isStored(pipeline, good)).toBe(true);
  const letters = await pipeline.letters();
  expect(letters.map(({ key }) => String(key))).toEqual(['large', 'gzip']);
  expect(letters[0]?.value?.equals(large)).toBe(true);
  expect(letters[1]?.value?.equals(compressible)).toBe(true);
});

test('dead letters fit a topic with a small limit, in many requests', async () => {
  await using pipeline = await openPipeline();
  await pipeline.setLimit(10_000);
  const bad = Array.from({ length: 300 }, (_, n) => ({ key: `${n}`, value: randomBytes(6_000) }));
  await until(() => pipeline.send([bad[0] as (typeof bad)[0]]));
  for (const message of bad.slice(1)) await pipeline.send([message]);
  const good = ordersOf(1);
  await pipeline.send(good.map(messageOf));
  pipeline.join();
  await pipeline.drained();
  expect(await isStored(pipeline, good)).toBe(true);
  expect((await pipeline.letters()).map(({ key }) => String(key))).toEqual(bad.map(({ key }) => key));
});

test('dead letters with large keys and headers are sent', async () => {
  await using pipeline = await openPipeline();
  const long = 'ключ'.repeat(7_500);
  const bad = Array.from({ length: 60 }, (_, n) => ({
    key: `${n} ${long}`,
    value: '',
    headers: { long },
    partition: 0,
  }));
  const compressed = { compression: CompressionTypes.GZIP };
  await pipeline.send(bad, compressed);
  const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, n) => [`h${n}`, '']));
  await pipeline.send([{ key: 'x'.repeat(900_000), value: null, headers: many, partition: 0 }], compressed);
  pipeline.join();
  await pipeline.drained();
  const letters = await pipeline.letters();
  expect(letters).toHaveLength(61);
  expect(letters.slice(0, 60).every(({ headers }) => String(headers.long) === long)).toBe(true);
  expect(Object.keys(letters[60]?.headers ?? {})).toHaveLength(40_006);
});

test('an offset is committed only after everything up to it is stored', async () => {
  await using pipeline = await openPipeline();
  const held = Promise.withResolvers<void>();
  const good = ordersOf(1_400);
  await pipeline.send(good.map(messageOf));
  let storedMessages = 0;
  let batches = 0;
  pipeline.join((process) => async (batch, signal) => {
    if (batches++ === 1) await held.promise;
    const outcome = await process(batch, signal);
    storedMessages += batch.messages.length;
    return outcome;
  });
  await until(() => batches === 2);
  await until(async () => (await pipeline.committed()).get(0) === storedMessages);
  expect(storedMessages).toBeWithin(1, 1_400);
  expect(await isStored(pipeline, good.slice(0, storedMessages))).toBe(true);
  expect(await isStored(pipeline, good.slice(storedMessages, storedMessages + 1))).toBe(false);
  held.resolve();
  await pipeline.drained();
  expect(storedMessages).toBe(1_400);
  expect(await isStored(pipeline, good)).toBe(true);
});

test('orders that were stored and not committed are read again after a restart, and change nothing', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const good = ordersOf(1_200);
  await pipeline.send(good.map(messageOf));
  let stored = 0;
  const first = pipeline.join((process) => async (batch, signal) => {
    await process(batch, signal);
    stored++;
    // The process dies before it can commit.
    return new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  await until(() => stored === 2);
  await first.stop();
  expect([...(await pipeline.committed()).values()]).toEqual([0, 0]);
  const rows = () => pipeline.database.sql`select id, order_uid from orders order by id`;
  const before = await rows();
  expect(before.length).toBeGreaterThan(0);

  const second = pipeline.join();
  await pipeline.drained();
  expect((await rows()).slice(0, before.length)).toEqual(before);
  expect(second.outcomes.reduce((sum, { duplicates }) => sum + duplicates, 0)).toBe(before.length);
  expect(await isStored(pipeline, good)).toBe(true);
  const [items] = await pipeline.database.sql`select count(*)::int as count from items`;
  expect(items?.count).toBe(good.reduce((sum, order) => sum + order.items.length, 0));
});

test('a stop lets what is in flight be stored and commits it', async () => {
  await using pipeline = await openPipeline();
  const begun = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const member = pipeline.join((process) => async (batch, signal) => {
    begun.resolve();
    await held.promise;
    return process(batch, signal);
  });
  const good = ordersOf(10);
  await pipeline.send(good.map(messageOf));
  await begun.promise;
  const stopped = member.stop();
  held.resolve();
  await stopped;
  expect(await isStored(pipeline, good)).toBe(true);
  expect([...(await pipeline.committed()).values()]).toEqual([10]);
});

test('two members share the partitions, and when one leaves the other gets them all', async () => {
  await using pipeline = await openPipeline({ partitions: 4 });
  const [one, other] = [pipeline.join(), pipeline.join()];
  await until(() => one.assigned().length === 2 && other.assigned().length === 2, 30_000);
  expect([...one.assigned(), ...other.assigned()].sort()).toEqual([0, 1, 2, 3]);
  const good = ordersOf(400);
  await pipeline.send(good.slice(0, 200).map(messageOf));
  await pipeline.drained();
  expect([one, other].map((member) => member.outcomes.length > 0)).toEqual([true, true]);
  await pipeline.send(good.slice(200, 300).map(messageOf));
  await one.stop();
  await until(() => other.assigned().length === 4, 30_000);
  await pipeline.send(good.slice(300).map(messageOf));
  await pipeline.drained();
  expect(await isStored(pipeline, good)).toBe(true);
});

test('a batch that fails is processed again, and nothing after it is committed before', async () => {
  await using pipeline = await openPipeline();
  const good = ordersOf(1_100);
  await pipeline.send(good.map(messageOf));
  let spoiled: number | undefined;
  const seen: number[] = [];
  pipeline.join((process) => async (batch, signal) => {
    const begin = Number(batch.from);
    if (begin > 0) spoiled ??= begin;
    if (begin === spoiled && seen.length < 3) {
      seen.push((await pipeline.committed()).get(0) ?? 0);
      // An error after which kafkajs does not restart a consumer.
      throw new TypeError('a bug of ours');
    }
    return process(batch, signal);
  });
  await pipeline.drained();
  expect(seen).toHaveLength(3);
  expect(Math.max(...seen)).toBeLessThanOrEqual(spoiled as number);
  expect(await isStored(pipeline, good)).toBe(true);
});

test('the first version of an order wins over others in the same or in later batches', async () => {
  await using pipeline = await openPipeline();
  const good = ordersOf(1_200);
  const first = good[0] as Order;
  const others = [1, 2].map((n) => ({ ...first, sm_id: first.sm_id + n }));
  const sent = [first, others[0] as Order, ...good.slice(1), first, others[1] as Order];
  await pipeline.send(sent.map(messageOf));
  pipeline.join();
  await pipeline.drained();
  expect(await pipeline.store.find(first.order_uid)).toBe(JSON.stringify(first));
  expect((await pipeline.letters()).map(({ value }) => String(value))).toEqual(
    others.map((order) => JSON.stringify(order)),
  );
});

testWith(isReal, 'a real Kafka (KAFKA_BROKERS)')(
  'messages of aborted transactions are skipped, and control records at the end are committed',
  async () => {
    await using pipeline = await openPipeline();
    const [good, aborted] = [ordersOf(3), ordersOf(2, 9)];
    const producer = pipeline.kafka.producer({
      transactionalId: topicName(),
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    const transact = async (orders: Order[], end: 'commit' | 'abort') => {
      const transaction = await producer.transaction();
      await transaction.send({ topic: pipeline.topic, messages: orders.map(messageOf) });
      await transaction[end]();
    };
    const member = pipeline.join();
    await until(() => member.assigned().length === 1);
    await transact(good.slice(0, 1), 'commit');
    await pipeline.drained();
    await transact(aborted, 'abort');
    await pipeline.drained();
    await transact(good.slice(1, 2), 'commit');
    await transact(aborted, 'abort');
    await pipeline.drained();
    // The last range has only aborted messages and a control record, whose leader epoch is stored as any other.
    const [row] = await pipeline.database.sql<{ epoch: number }[]>`
      select leader_epoch as epoch from consumed_offsets`;
    expect(row?.epoch).toBe(0);
    await producer.disconnect();
    await member.stop();
    expect(await isStored(pipeline, good.slice(0, 2))).toBe(true);
    expect((await pipeline.store.findAll(aborted.map((order) => order.order_uid))).size).toBe(0);
    expect(await pipeline.letters()).toEqual([]);
  },
);

const hasKcat = Bun.which('kcat') !== null;
for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  testWith(hasKcat, 'kcat')(`orders that another client sent are stored: ${codec}`, async () => {
    await using pipeline = await openPipeline();
    const good = ordersOf(700);
    const arguments_ = [
      '-P',
      '-b',
      (await brokers()).join(),
      '-t',
      pipeline.topic,
      '-z',
      codec,
      '-X',
      'linger.ms=500',
    ];
    const kcat = Bun.spawn(['kcat', ...arguments_], {
      stdin: Buffer.from(good.map((order) => JSON.stringify(order)).join('\n')),
      stderr: 'pipe',
    });
    expect({ errors: await new Response(kcat.stderr).text(), code: await kcat.exited }).toEqual({
      errors: '',
      code: 0,
    });
    pipeline.join();
    await pipeline.drained();
    expect(await isStored(pipeline, good)).toBe(true);
  });
}
