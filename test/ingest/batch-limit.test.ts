/** The limit for the decompressed size of a record batch follows the topic's `max.message.bytes` while the program runs. */
import { expect, test } from 'bun:test';
import { zstdCompressSync } from 'node:zlib';
import { startBroker } from 'kafka-broker';
import { createTopicCheck } from '../../src/ingest/topic-check.ts';
import { buildOrder } from '../support/build-order.ts';
import { silent, until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { record, recordBatch, sendRaw, sized } from '../support/record-batch.ts';

const defaultBytes = 1_048_588;
const raisedBytes = 8_388_608;

/** A member that has read all of its topic, with the default limit or `bytes`; and how often settings of topics were asked for since. */
const openMember = async (bytes?: number, options: Parameters<typeof openPipeline>[0] = {}) => {
  const broker = await startBroker({ port: 0 });
  const pipeline = await openPipeline({ addresses: [broker.brokers], ...options });
  if (bytes !== undefined) await pipeline.setLimit(bytes);
  await pipeline.send([{ value: JSON.stringify(buildOrder({ order_uid: crypto.randomUUID() })) }]);
  const member = pipeline.join();
  await pipeline.drained();
  let requests = 0;
  broker.faults.intercept(({ api }) => {
    if (api === 'DescribeConfigs') requests++;
    return undefined;
  });
  return {
    broker,
    pipeline,
    member,
    requests: () => requests,
    send: (...batches: Buffer[]) => sendRaw(broker.brokers, pipeline.topic, 0, batches),
    async [Symbol.asyncDispose]() {
      await pipeline[Symbol.asyncDispose]();
      await broker.stop();
    },
  };
};

/** 20 orders of 1 MB each, mostly blanks: more than 16 times the default of `max.message.bytes`. */
const largeBatch = () => {
  const uids = Array.from({ length: 20 }, () => crypto.randomUUID());
  const records = uids.map((order_uid, delta) =>
    record({
      delta,
      key: sized(order_uid),
      value: sized(JSON.stringify(buildOrder({ order_uid })).padEnd(1_000_000)),
    }),
  );
  const batch = recordBatch({
    codec: 4,
    records: zstdCompressSync(Buffer.concat(records)),
    count: uids.length,
  });
  return { uids, batch };
};

test('a batch is stored that a limit allows which was raised just before', async () => {
  await using world = await openMember();
  const { uids, batch } = largeBatch();
  await world.pipeline.setLimit(raisedBytes);
  await world.send(batch);
  await world.pipeline.drained();
  expect((await world.pipeline.store.findAll(uids)).size).toBe(20);
  expect(await world.pipeline.letters()).toEqual([]);
});

test('a batch is neither stored nor a dead letter while the limit cannot be read', async () => {
  await using world = await openMember();
  const { uids, batch } = largeBatch();
  await world.pipeline.setLimit(raisedBytes);
  const before = world.requests();
  const repair = world.broker.faults.intercept(({ api }) =>
    api === 'DescribeConfigs' ? { drop: 'before' } : undefined,
  );
  await world.send(batch);
  await until(() => world.requests() > before);
  await until(() => world.member.reason() !== undefined);
  expect((await world.pipeline.store.findAll(uids)).size).toBe(0);
  repair();
  await world.pipeline.drained();
  expect((await world.pipeline.store.findAll(uids)).size).toBe(20);
  expect(await world.pipeline.letters()).toEqual([]);
}, 120_000);

test('a limit that is lowered does not reject batches from before', async () => {
  await using world = await openMember(raisedBytes, { topicCheckIntervalMs: 100 });
  await world.pipeline.setLimit(defaultBytes);
  const before = world.requests();
  // Two topics are read for each check, and the first may have begun before.
  await until(() => world.requests() >= before + 5);
  const { uids, batch } = largeBatch();
  await world.send(batch);
  await world.pipeline.drained();
  expect((await world.pipeline.store.findAll(uids)).size).toBe(20);
});

test('batches above the limit are dead letters, and the limit is read once for all that come within 3 s', async () => {
  await using world = await openMember();
  const startedAt = performance.now();
  await world.send(...Array.from({ length: 16 }, () => largeBatch().batch));
  await world.pipeline.drained();
  expect(await world.pipeline.letters()).toHaveLength(16);
  expect(world.requests()).toBeGreaterThan(0);
  expect(world.requests()).toBeLessThanOrEqual(1 + (performance.now() - startedAt) / 3_000);
}, 120_000);

test('the topic’s max.message.bytes is read while the program runs', async () => {
  const broker = await startBroker({ port: 0 });
  await using pipeline = await openPipeline({ addresses: [broker.brokers] });
  const { kafka, topic, deadLetterTopic } = pipeline;
  const read: number[] = [];
  const check = createTopicCheck({
    kafka,
    topics: { topic, deadLetterTopic, partitions: 1 },
    messageBytesRead: (bytes) => read.push(bytes),
    log: silent,
    intervalMs: 50,
  });
  check.poll();
  await until(() => read.includes(defaultBytes));
  await pipeline.setLimit(raisedBytes);
  await until(() => read.includes(raisedBytes));
  check.stop();
});
