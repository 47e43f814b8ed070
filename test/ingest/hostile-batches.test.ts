import { expect, test } from 'bun:test';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { lz4Compress, snappyCompress } from '@platformatic/wasm-utils';
import { startBroker } from 'kafka-broker';
import type { IHeaders } from 'kafkajs';
import fetched from 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js';
import type { Order } from '../../src/order/order.ts';
import { buildOrder } from '../support/build-order.ts';
import { testDatabase, topicName, until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { startProgram } from '../support/program.ts';
import { record, recordBatch, sendRaw, sized, varInt } from '../support/record-batch.ts';

/** A broker that accepts any batch with the right checksum; Apache Kafka checks records and rejects most of these. */
const openBroker = async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'order-lookup-'));
  const broker = await startBroker({ dataDir, port: 0 });
  return {
    address: broker.brokers,
    async [Symbol.asyncDispose]() {
      await broker.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
};

const batchOf = (orders: Order[], codec = 0, compress: (bytes: Buffer) => Buffer = (bytes) => bytes) => {
  const records = orders.map((order, delta) =>
    record({ delta, key: sized(order.order_uid), value: sized(JSON.stringify(order)) }),
  );
  return recordBatch({ codec, records: compress(Buffer.concat(records)), count: orders.length });
};
const ordersOf = (count: number) =>
  Array.from({ length: count }, () => buildOrder({ order_uid: crypto.randomUUID() }));
const uidsOf = (orders: Order[]) => orders.map((order) => order.order_uid);

/** One message of `bytes` spaces, in each codec. */
const bombs = (bytes: number) => {
  const blanks = record({ key: sized('bomb'), value: sized(Buffer.alloc(bytes, 32)) });
  // 3 bytes of snappy make 64 at the most, so that a message of 1 MB holds 22 MB.
  const fewer = record({ key: sized('bomb'), value: sized(Buffer.alloc(Math.min(bytes, 20_000_000), 32)) });
  return [
    recordBatch({ codec: 1, records: gzipSync(blanks) }),
    recordBatch({ codec: 2, records: snappyCompress(fewer) }),
    recordBatch({ codec: 3, records: lz4Compress(blanks) }),
    recordBatch({ codec: 4, records: zstdCompressSync(blanks) }),
  ];
};

test('batches that cannot be read are a dead letter each, and the orders around them are stored', async () => {
  await using broker = await openBroker();
  await using pipeline = await openPipeline({ addresses: [broker.address] });
  const orders = ordersOf(8);
  const hostile = [
    recordBatch({ records: [record({})], count: 2_000_000 }),
    recordBatch({ records: [record({ length: -1 })] }),
    recordBatch({ records: [record({ headers: varInt(2 ** 31 - 1) })] }),
    recordBatch({ records: [record({ key: sized('k', 2 ** 30) })], count: 3 }),
    recordBatch({ records: [record({})], codec: 5 }),
    recordBatch({ records: [Buffer.alloc(40, 0xff)], codec: 3 }),
    recordBatch({ records: [Buffer.alloc(40, 0xff)], count: 5, lastDelta: 4 }),
  ];
  const batches = hostile.flatMap((batch, at) => [batchOf([orders[at] as Order]), batch]);
  await sendRaw(broker.address, pipeline.topic, 0, [...batches, batchOf(orders.slice(-1), 1, gzipSync)]);
  const member = pipeline.join();
  await pipeline.drained();
  expect((await pipeline.store.findAll(uidsOf(orders))).size).toBe(8);
  const letters = await pipeline.letters();
  expect(letters.map(({ value }) => value)).toEqual(hostile.map(() => null));
  const facts = letters.map(({ headers }) =>
    ['stage', 'exception.class.name', 'offset'].map((name) => String(headers[`__connect.errors.${name}`])),
  );
  const offsets = [1, 2_000_002, 2_000_004, 2_000_006, 2_000_010, 2_000_012, 2_000_014];
  expect(facts).toEqual(offsets.map((offset) => ['parse', 'UnreadableBatch', `${offset}`]));
  expect(String(letters[3]?.headers['__connect.errors.exception.message'])).toBe(
    'a record batch of 3 records cannot be read, offsets 2000006 to 2000008: 3 records in 12 bytes are too many',
  );
  expect(member.reason()).toBeUndefined();
});

test('a batch that a disk or network has changed is a dead letter, and what follows is stored', async () => {
  await using broker = await openBroker();
  await using pipeline = await openPipeline({ addresses: [broker.address] });
  const orders = ordersOf(3);
  await sendRaw(
    broker.address,
    pipeline.topic,
    0,
    orders.map((order) => batchOf([order])),
  );
  spoil((orders[1] as Order).order_uid);
  pipeline.join();
  await pipeline.drained();
  expect([...(await pipeline.store.findAll(uidsOf(orders))).keys()].sort()).toEqual(
    uidsOf(orders.filter((_, at) => at !== 1)).sort(),
  );
  expect((await pipeline.letters()).map(({ value, headers }) => [value, reasonOf(headers)])).toEqual([
    [null, 'a record batch of 1 records cannot be read, offsets 1 to 1: its checksum is wrong'],
  ]);
});

/** From now on every fetch that brings this text has one bit of it flipped, as by a bad disk or network. */
const spoil = (text: string) =>
  spoilFetches((bytes) => {
    const at = bytes.indexOf(text);
    if (at >= 0) bytes[at] = (bytes[at] as number) ^ 1;
  });

/** From now on this changes what every fetch brings for a partition. Returns what ends it. */
const spoilFetches = (change: (bytes: Buffer) => void) => {
  const { decode } = fetched;
  fetched.decode = async (bytes, fetch) => {
    change(bytes);
    return (await decode?.(bytes, fetch)) ?? [];
  };
  return () => {
    fetched.decode = decode as NonNullable<typeof decode>;
  };
};

test.each([
  ['format', 16, 0x80, 'its format is -126; 0, 1 and 2 exist'],
  ['format', 16, 0x01, 'its format is 3; 0, 1 and 2 exist'],
  ['size', 9, 0x01, 'it says that it has'],
  ['size', 8, 0x80, 'it cannot have'],
  ['first offset', 2, 0x01, 'it says that it has the offsets'],
])(
  'a batch whose %s is damaged in byte %i is a dead letter, and what follows is stored',
  async (_, at, bits, reason) => {
    await using broker = await openBroker();
    await using pipeline = await openPipeline({ addresses: [broker.address] });
    const orders = ordersOf(3);
    const batches = orders.map((order) => batchOf([order]));
    await sendRaw(broker.address, pipeline.topic, 0, batches);
    const uid = (orders[1] as Order).order_uid;
    const stop = spoilFetches((bytes) => {
      for (let start = 0, size = 0; start + 12 < bytes.length; start += size) {
        size = 12 + bytes.readInt32BE(start + 8);
        if (!bytes.subarray(start, start + size).includes(uid)) continue;
        bytes[start + at] = (bytes[start + at] as number) ^ bits;
        return;
      }
    });
    pipeline.join();
    await pipeline.drained();
    stop();
    expect((await pipeline.store.findAll(uidsOf(orders))).size).toBe(2);
    const letters = await pipeline.letters();
    expect(letters).toHaveLength(1);
    expect(reasonOf(letters[0]?.headers ?? {})).toContain(`offsets 1 to 1: ${reason}`);
    expect(String(letters[0]?.headers['__connect.errors.exception.class.name'])).toBe('UnreadableBatch');
  },
);

const reasonOf = (headers: IHeaders) => String(headers['__connect.errors.exception.message']);

test('bombs of every codec, 16 in one fetch, are dead letters in a process that stays small', async () => {
  await using broker = await openBroker();
  await using database = await testDatabase();
  const topic = topicName();
  await using program = startProgram({
    KAFKA_BROKERS: broker.address,
    KAFKA_TOPIC: topic,
    KAFKA_DLQ_TOPIC: `${topic}_dlq`,
    KAFKA_PARTITIONS: '1',
    DATABASE_URL: database.url,
    SERVE: 'consumer',
    LOG_LEVEL: 'info',
  });
  await program.said('joined the group', 30_000);
  const before = await peakOf(program.pid);
  const orders = ordersOf(16);
  const all = bombs(100_000_000);
  await sendRaw(
    broker.address,
    topic,
    0,
    orders.flatMap((order, at) => [Buffer.from(all[at % 4] as Buffer), batchOf([order])]),
  );
  await until(async () => {
    const [row] = await database.sql`select count(*)::int as stored from orders`;
    return row?.stored === 16;
  }, 60_000);
  const metrics = await (await fetch(`${await program.url()}/metrics`)).text();
  const [, unreadable] = /^orders_unreadable_batches_total\{.*\} (\d+)$/m.exec(metrics) ?? [];
  expect(Number(unreadable)).toBeGreaterThanOrEqual(16);
  expect(program.lines().filter(({ msg }) => msg.includes('cannot be read')).length).toBeGreaterThan(0);
  const growth = (await peakOf(program.pid)) - before;
  console.log(`${Math.round(growth / 1e6)} MB more than the ${Math.round(before / 1e6)} MB at rest`);
  expect(growth).toBeLessThan(250_000_000);
}, 120_000);

/** The peak of a process's resident memory, in bytes. */
const peakOf = async (pid: number) => {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
};
