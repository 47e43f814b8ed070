/** The start of an assignment, in each case in which stored offsets, committed offsets and Kafka's log disagree. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { startBroker } from 'kafka-broker';
import type { Message as Sent } from 'kafkajs';
import { type PartitionOffsets, startOffset } from '../../src/ingest/start-offset.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import type { Order } from '../../src/order/order.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { testFewAtOnce } from '../support/few-at-once.ts';
import { silent, until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';

// A rebalance takes seconds, and longer on a busy machine.
setDefaultTimeout(240_000);
const testOnKafka = testFewAtOnce();

type Pipeline = Awaited<ReturnType<typeof openPipeline>>;
const ordersOf = (count: number, seed = 1) => Array.from({ length: count }, createOrderMaker({ seed }));
const messageOf = (order: Order) => ({ key: order.order_uid, value: JSON.stringify(order), partition: 0 });
const isStored = async ({ store }: Pipeline, orders: Order[]) =>
  (await store.findAll(orders.map((order) => order.order_uid))).size === orders.length;
const bad = { key: 'bad', value: '{}', partition: 0 };

/** With a member that leaves, as Kafka resets offsets only of an empty group. */
const storeAndLeave = async (
  pipeline: Pipeline,
  messages: { key: string; value: string; partition: number }[],
) => {
  await pipeline.send(messages);
  const member = pipeline.join();
  await pipeline.drained();
  await member.stop();
};

type Known = Partial<Record<Exclude<keyof PartitionOffsets, 'topic'>, number>> &
  Pick<Partial<PartitionOffsets>, 'topic'>;

const at = ({ topic, ...known }: Known) => {
  const { start, reason, again, deleted, isPastSkip } = startOffset({
    stored: undefined,
    skippedTo: undefined,
    committed: undefined,
    low: 0n,
    high: 100n,
    topic,
    divergedAt: undefined,
    ...Object.fromEntries(Object.entries(known).map(([name, offset]) => [name, BigInt(offset)])),
  });
  return { start: Number(start), reason, again: Number(again), deleted: Number(deleted), isPastSkip };
};
const agreed = { reason: undefined, again: 0, deleted: 0, isPastSkip: false };

test.each<[string, Parameters<typeof at>[0], Partial<ReturnType<typeof at>>]>([
  ['both agree', { stored: 40, committed: 40 }, { start: 40 }],
  ['both agree at the end', { stored: 100, committed: 100 }, { start: 100 }],
  ['the group is new', { low: 7 }, { start: 7, reason: 'new' }],
  [
    'the database is behind',
    { stored: 30, committed: 40 },
    { start: 30, reason: 'database-behind', again: 10 },
  ],
  [
    'the commit is behind',
    { stored: 40, committed: 30 },
    { start: 30, reason: 'committed-behind', again: 10 },
  ],
  ['Kafka has no offset', { stored: 40, low: 5 }, { start: 5, reason: 'unknown', again: 35 }],
  ['the database has no offset', { committed: 40, low: 5 }, { start: 5, reason: 'unknown', again: 35 }],
  ['the log ends before', { stored: 101, committed: 101 }, { start: 0, reason: 'past-end' }],
  ['the log ends before, and Kafka has none', { stored: 101 }, { start: 0, reason: 'past-end' }],
  [
    'only the commit is past the end',
    { stored: 90, committed: 101 },
    { start: 90, reason: 'database-behind', again: 10 },
  ],
  ['unread records are gone', { stored: 40, committed: 40, low: 60 }, { start: 60, deleted: 20 }],
  [
    'they are gone, and Kafka has no offset',
    { stored: 40, low: 60 },
    { start: 60, reason: 'unknown', deleted: 20 },
  ],
  [
    'they are gone, and the database has none',
    { committed: 40, low: 60 },
    { start: 60, reason: 'unknown', deleted: 20 },
  ],
  [
    'stored records are gone below the commit',
    { stored: 60, committed: 20, low: 40 },
    { start: 40, reason: 'committed-behind', again: 20 },
  ],
  ['an operator has skipped', { stored: 50, skippedTo: 50, committed: 20 }, { start: 50 }],
  ['an operator has skipped before the first start', { stored: 50, skippedTo: 50 }, { start: 50 }],
  [
    'the commit has passed the skip',
    { stored: 60, skippedTo: 50, committed: 60 },
    { start: 60, isPastSkip: true },
  ],
  [
    'a skip was passed, and Kafka has no offset: the topic was recreated',
    { stored: 60, skippedTo: 50 },
    { start: 0, reason: 'unknown', again: 60, isPastSkip: true },
  ],
  [
    'what was skipped is of another log',
    { stored: 150, skippedTo: 150, committed: 20 },
    { start: 0, reason: 'past-end', isPastSkip: true },
  ],
  [
    'a skip was passed, and offsets expired in the same topic',
    { stored: 60, skippedTo: 50, topic: 'same' },
    { start: 50, reason: 'committed-behind', again: 10 },
  ],
  [
    'PostgreSQL is behind, by a backup of a version that stored no ids: the topic may be another one',
    { stored: 40, committed: 60, topic: 'unidentified' },
    { start: 0, reason: 'unknown', again: 60 },
  ],
  [
    'an earlier version has stored no id, and the offsets are equal',
    { stored: 60, committed: 60, topic: 'unidentified' },
    { start: 60 },
  ],
  [
    'the topic is another one, whatever offsets and skips of the old one say',
    { stored: 40, skippedTo: 30, committed: 60, topic: 'other' },
    { start: 0, reason: 'recreated', again: 40, isPastSkip: true },
  ],
  [
    'the topic is another one, and its first records are gone',
    { stored: 40, low: 5, topic: 'other' },
    { start: 5, reason: 'recreated', again: 35, deleted: 5 },
  ],
  [
    'the topic is another one, and shorter',
    { stored: 140, committed: 140, topic: 'other' },
    { start: 0, reason: 'recreated', again: 100 },
  ],
  [
    'the log diverged',
    { stored: 60, committed: 60, divergedAt: 40 },
    { start: 40, reason: 'diverged', again: 20 },
  ],
  [
    'the log diverged, and the commit is behind',
    { stored: 60, committed: 30, divergedAt: 40 },
    { start: 30, reason: 'diverged', again: 30 },
  ],
  [
    'the log diverged, and Kafka has no offset',
    { stored: 60, divergedAt: 40, low: 5 },
    { start: 5, reason: 'diverged', again: 55 },
  ],
  [
    'the log diverged, and ends before the stored offset',
    { stored: 160, committed: 160, divergedAt: 90 },
    { start: 90, reason: 'diverged', again: 70 },
  ],
  [
    'the log diverged, and the high watermark is not there yet',
    { stored: 160, committed: 160, divergedAt: 110 },
    { start: 110, reason: 'diverged', again: 50 },
  ],
  [
    'the log diverged before a skip',
    { stored: 60, skippedTo: 50, committed: 20, divergedAt: 40 },
    { start: 40, reason: 'diverged', again: 20 },
  ],
  [
    'the topic is another one, so its epochs do not count',
    { stored: 60, committed: 60, divergedAt: 40, topic: 'other' },
    { start: 0, reason: 'recreated', again: 60 },
  ],
])('the start offset when %s', (_, known, expected) => {
  expect(at(known)).toEqual({ ...agreed, ...expected } as never);
});

testOnKafka(
  'after a database was restored under running members they read again by themselves, also an idle partition',
  async () => {
    await using pipeline = await openPipeline();
    const { sql } = pipeline.database;
    const good = ordersOf(30);
    const member = pipeline.join();
    await pipeline.send(good.slice(0, 10).map(messageOf));
    await pipeline.drained();
    await sql.unsafe('create table kept as table consumed_offsets');
    await pipeline.send(good.slice(10).map(messageOf));
    await pipeline.drained();
    expect(await isStored(pipeline, good)).toBe(true);

    await sql.begin(async (tx) => {
      await tx`delete from orders where order_uid = any(${good.slice(10).map((order) => order.order_uid) as never}::text[])`;
      await tx.unsafe('truncate consumed_offsets; insert into consumed_offsets table kept');
    });
    await until(() => isStored(pipeline, good), 60_000);
    expect(member.fences).toEqual(['claim']);
    expect(member.starts.at(-1)).toMatchObject({ start: 10n, reason: 'database-behind', again: 20n });
    await pipeline.drained();
    expect(await pipeline.storedOffsets()).toEqual(new Map([[0, 30]]));
  },
);

testOnKafka('with an empty database everything is read from the beginning', async () => {
  await using pipeline = await openPipeline();
  const good = ordersOf(10);
  await storeAndLeave(pipeline, good.map(messageOf));
  await pipeline.database.sql`truncate orders, consumed_offsets cascade`;
  const member = pipeline.join();
  await until(() => isStored(pipeline, good), 30_000);
  expect(member.starts).toMatchObject([{ start: 0n, reason: 'unknown', again: 10n }]);
});

testOnKafka('offsets that an operator has reset are read again, without a second dead letter', async () => {
  await using pipeline = await openPipeline();
  const { topic, admin, group } = pipeline;
  const good = ordersOf(10);
  await storeAndLeave(pipeline, [...good.map(messageOf), bad]);
  await until(() =>
    admin.setOffsets({ groupId: group.groupId, topic, partitions: [{ partition: 0, offset: '4' }] }).then(
      () => true,
      () => false,
    ),
  );
  const member = pipeline.join();
  await pipeline.drained(60_000);
  expect(member.starts[0]).toMatchObject({ start: 4n, reason: 'committed-behind', again: 7n });
  const sum = (name: 'duplicates' | 'lettersBefore') =>
    member.outcomes.reduce((all, one) => all + one[name], 0);
  expect([sum('duplicates'), sum('lettersBefore')]).toEqual([6, 1]);
  expect(await pipeline.letters()).toHaveLength(1);
});

testOnKafka('a group that Kafka has deleted reads from the beginning, and changes nothing', async () => {
  await using pipeline = await openPipeline();
  const { admin, group } = pipeline;
  const good = ordersOf(10);
  await storeAndLeave(pipeline, [bad, ...good.map(messageOf)]);
  await until(() =>
    admin.deleteGroups([group.groupId]).then(
      () => true,
      () => false,
    ),
  );
  const member = pipeline.join();
  await pipeline.drained(60_000);
  expect(member.starts[0]).toMatchObject({ start: 0n, reason: 'unknown', again: 11n });
  expect(member.outcomes.reduce((all, { duplicates }) => all + duplicates, 0)).toBe(10);
  expect(await pipeline.letters()).toHaveLength(1);
});

/**
 * Creates the topics of a pipeline, of which some were deleted, and sends messages. A broker that has not heard of it yet would accept
 * them into the old log, and delete it with them.
 */
const remake = async ({ admin, topic, deadLetterTopic, kafka, send }: Pipeline, messages: Sent[]) => {
  const isEmpty = async () => (await admin.fetchTopicOffsets(topic)).every(({ high }) => high === '0');
  const topics = { topic, deadLetterTopic, partitions: 1 };
  const make = () => ensureTopics(kafka, topics, silent).then(isEmpty);
  await until(() => make().catch(() => false), 60_000);
  await until(() => send(messages).catch(() => false), 60_000);
};

for (const isRunning of [false, true])
  testOnKafka(
    `a topic that is recreated ${isRunning ? 'under a running member' : 'while no member runs'} is read from its beginning`,
    async () => {
      await using pipeline = await openPipeline();
      const { admin, topic, deadLetterTopic } = pipeline;
      const [good, later] = [ordersOf(20), ordersOf(8, 9)];
      // Sent again as it was, as a mirror does.
      const same = { ...bad, timestamp: '1700000000000' };
      await pipeline.send([same, ...good.map(messageOf)]);
      const member = pipeline.join();
      await pipeline.drained();
      if (!isRunning) await member.stop();
      await admin.deleteTopics({ topics: [topic, deadLetterTopic] });
      await remake(pipeline, [same, ...later.map(messageOf)]);
      if (!isRunning) pipeline.join();
      await until(() => isStored(pipeline, later), 60_000);
      await until(async () => (await pipeline.letters()).length > 0, 60_000);
      await until(async () => (await pipeline.storedOffsets()).get(0) === 9, 60_000);
    },
  );

/** Deletes the topic and creates it again, with these orders. */
const recreate = async (pipeline: Pipeline, orders: Order[]) => {
  await pipeline.admin.deleteTopics({ topics: [pipeline.topic] });
  await remake(pipeline, orders.map(messageOf));
};

for (const isRunning of [false, true])
  testOnKafka(
    `a topic that is recreated, and has grown past the stored offset ${isRunning ? 'while a member was delayed' : 'while no member ran'}, is read from its beginning`,
    async () => {
      await using pipeline = await openPipeline();
      const [good, later] = [ordersOf(1_200), ordersOf(3_000, 9)];
      const held = Promise.withResolvers<void>();
      let isHeld = false;
      const member = pipeline.join((process) => async (batch, signal) => {
        if (isHeld) await held.promise;
        return process(batch, signal);
      });
      await pipeline.send(good.slice(0, 100).map(messageOf));
      await pipeline.drained();
      isHeld = isRunning;
      if (!isRunning) await member.stop();
      await pipeline.send(good.slice(100).map(messageOf));
      await recreate(pipeline, later);
      held.resolve();
      const { starts } = isRunning ? member : pipeline.join();
      await until(() => isStored(pipeline, later), 60_000);
      await until(async () => (await pipeline.storedOffsets()).get(0) === later.length, 60_000);
      await pipeline.drained();
      // The last one, unless a busy machine made the member join once more before anything was stored.
      expect(starts).toContainEqual(expect.objectContaining({ start: 0n, reason: 'recreated' }));
    },
  );

testOnKafka(
  'a database from before the topic was recreated, restored under a running member, is filled again',
  async () => {
    await using pipeline = await openPipeline();
    const { sql } = pipeline.database;
    const [good, later] = [ordersOf(30), ordersOf(60, 9)];
    const member = pipeline.join();
    await pipeline.send(good.map(messageOf));
    await pipeline.drained();
    await sql.unsafe('create table kept as table consumed_offsets');
    await recreate(pipeline, later);
    await until(() => isStored(pipeline, later), 60_000);
    await pipeline.drained();

    await sql.begin(async (tx) => {
      await tx`delete from orders where order_uid = any(${later.map((order) => order.order_uid) as never}::text[])`;
      await tx.unsafe('truncate consumed_offsets; insert into consumed_offsets table kept');
    });
    await until(() => isStored(pipeline, later), 60_000);
    expect(member.starts.at(-1)).toMatchObject({ start: 0n, reason: 'recreated', again: 30n });
  },
);

testOnKafka(
  'without ids and epochs a member reads all the same, and learns them when Kafka has them',
  async () => {
    const broker = await startBroker({ port: 0 });
    broker.faults.limit('Metadata', 9);
    broker.faults.limit('OffsetForLeaderEpoch', 2);
    {
      await using pipeline = await openPipeline({ addresses: [broker.brokers] });
      const identity = async () =>
        pipeline.database.sql<
          { topic_id: string | null; leader_epoch: number }[]
        >`select topic_id, leader_epoch from consumed_offsets`;
      const good = ordersOf(30);
      await storeAndLeave(pipeline, good.slice(0, 20).map(messageOf));
      expect([...(await identity())]).toEqual([{ topic_id: null, leader_epoch: 0 }]);
      broker.faults.clear();
      await pipeline.send(good.slice(20).map(messageOf));
      const member = pipeline.join();
      await until(() => isStored(pipeline, good), 30_000);
      expect(member.starts).toMatchObject([{ start: 20n, reason: undefined }]);
      expect([...(await identity())]).toMatchObject([{ topic_id: expect.any(String), leader_epoch: 0 }]);
    }
    await broker.stop();
  },
);

testOnKafka('a log that has not the stored leader epoch is read from its beginning', async () => {
  await using pipeline = await openPipeline();
  const { sql } = pipeline.database;
  const good = ordersOf(30);
  await storeAndLeave(pipeline, good.slice(0, 20).map(messageOf));
  await pipeline.send(good.slice(20).map(messageOf));
  await sql`update consumed_offsets set next_offset = 25, leader_epoch = 7`;
  const member = pipeline.join();
  await until(() => isStored(pipeline, good), 30_000);
  expect(member.starts).toMatchObject([{ start: 0n, reason: 'diverged', again: 25n }]);
  await pipeline.drained();
  const [row] = await sql<{ epoch: number }[]>`select leader_epoch as epoch from consumed_offsets`;
  expect(row?.epoch).toBe(0);
});

for (const isRunning of [false, true])
  testOnKafka(
    `records that were deleted unread ${isRunning ? 'while a member was delayed' : 'while no member ran'} are counted, and the rest is stored`,
    async () => {
      await using pipeline = await openPipeline();
      const { admin, topic, database } = pipeline;
      const good = ordersOf(10);
      const rest = ordersOf(4_000, 5);
      await storeAndLeave(pipeline, good.map(messageOf));
      const held = Promise.withResolvers<void>();
      let batches = 0;
      const join = () =>
        pipeline.join((process) => async (batch, signal) => {
          batches++;
          if (isRunning) await held.promise;
          return process(batch, signal);
        });
      let member = isRunning ? join() : undefined;
      await pipeline.send(rest.map(messageOf));
      if (isRunning) await until(() => batches > 0);
      // Past everything that the member may have fetched.
      const low = 4_005;
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(low) }] });
      held.resolve();
      member ??= join();
      await pipeline.drained(60_000);
      await until(() => isStored(pipeline, rest.slice(low - 10)), 60_000);
      const { starts } = member;
      const deleted = starts.reduce((all, one) => all + Number(one.deleted), 0);
      const [row] = await database.sql<{ count: number }[]>`select count(*)::int as count from orders`;
      expect(deleted).toBe(10 + rest.length - Number(row?.count));
      expect(deleted).toBeGreaterThan(0);
      if (!isRunning) expect(deleted).toBe(low - 10);
    },
  );

testOnKafka(
  'a member whose partition was claimed by another one stores nothing more, and nothing is lost',
  async () => {
    await using pipeline = await openPipeline();
    const good = ordersOf(600);
    const held = Promise.withResolvers<void>();
    let batches = 0;
    const member = pipeline.join((process) => async (batch, signal) => {
      if (batches++ === 0) await held.promise;
      return process(batch, signal);
    });
    await pipeline.send(good.map(messageOf));
    await until(() => batches > 0);
    await pipeline.offsets.claim(pipeline.group, [0], crypto.randomUUID());
    held.resolve();
    await until(() => member.fences.length > 0);
    expect(member.fences).toEqual(['claim']);
    await pipeline.drained(60_000);
    expect(await isStored(pipeline, good)).toBe(true);
  },
);
