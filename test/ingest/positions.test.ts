import { expect, test } from 'bun:test';
import { createPositions } from '../../src/ingest/positions.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { silent, testDatabase, until } from '../support/kafka-and-postgres.ts';

/** Positions in one partition with ten messages; the query that begins it fails as often as `failures` says. */
const openPositions = async ({ failures = 0, isReadable = true } = {}) => {
  let readable = isReadable;
  let beginning = async () => {};
  const database = await testDatabase();
  const offsets = createOffsets(database.sql);
  const postgres = createServiceState('PostgreSQL', silent);
  const kafka = createServiceState('Kafka', silent, { initialReason: 'not reached yet' });
  let left = failures;
  const ending = new AbortController();
  const positions = createPositions({
    kafkaOffsets: {
      topicId: async () => undefined,
      epochEnds: async () => new Map(),
      async leaders() {
        if (!readable) throw Object.assign(new Error(), { type: 'TOPIC_AUTHORIZATION_FAILED' });
        return { groups: [[0]], leaderless: [] };
      },
      committed: async () => new Map(),
      ends: async () => ({ known: [{ partition: 0, low: 0n, high: 10n }], failed: new Map() }),
    },
    group: { groupId: 'group', topic: 'orders' },
    offsets: {
      claim: offsets.claim,
      async begin(...call) {
        if (left-- > 0) throw new Error('connection closed');
        await beginning();
        return offsets.begin(...call);
      },
    },
    postgres,
    kafkaState: kafka,
    health: { markDown() {}, markUp() {} },
    started() {},
    log: silent,
    slowQueryMs: 200,
  });
  return {
    postgres,
    kafka,
    setReadable(to: boolean) {
      readable = to;
    },
    /** Called before the query that begins a partition. */
    onBeginning(wait: () => Promise<void>) {
      beginning = wait;
    },
    /** No query on stored offsets is answered until the function that this returns is called. */
    async lockOffsets() {
      const connection = await database.sql.reserve();
      await connection`begin`;
      await connection`lock table consumed_offsets in access exclusive mode`;
      return async () => {
        await connection`rollback`;
        connection.release();
      };
    },
    begin: (partitions: number[]) => positions.begin(partitions, ending.signal, () => {}),
    /** As a rebalance does. */
    end: () => ending.abort(),
    async [Symbol.asyncDispose]() {
      ending.abort();
      await database[Symbol.asyncDispose]();
    },
  };
};

test('PostgreSQL counts as available again once a query that failed at the start of a partition succeeds', async () => {
  await using world = await openPositions({ failures: 2 });
  await world.begin([0]);
  expect(world.postgres.reason()).toBeUndefined();
});

test('a member that a rebalance leaves without partitions does not report an outage of PostgreSQL that has ended', async () => {
  await using world = await openPositions();
  // Of a query that the rebalance has aborted.
  world.postgres.markDown(new Error('connection closed'));
  await world.begin([]);
  expect(world.postgres.reason()).toBeUndefined();
});

test('while PostgreSQL does not answer, that is reported, and Kafka counts as available if it answers', async () => {
  await using world = await openPositions();
  const unlock = await world.lockOffsets();
  const begun = world.begin([0]);
  await until(() => world.postgres.reason() !== undefined && world.kafka.reason() === undefined);
  expect(world.postgres.reason()).toBe('no answer in time');
  await unlock();
  await begun;
  expect(world.postgres.reason()).toBeUndefined();
});

test('while PostgreSQL does not answer, a Kafka that refuses the topic is reported, not available', async () => {
  await using world = await openPositions({ isReadable: false });
  const unlock = await world.lockOffsets();
  const begun = world.begin([0]).catch((error: unknown) => error);
  await until(() => world.kafka.reason()?.startsWith('permission denied'));
  await unlock();
  world.end();
  expect(await begun).toBeInstanceOf(Error);
});

test('a Kafka that failed only while PostgreSQL did not answer counts as available again', async () => {
  await using world = await openPositions();
  world.onBeginning(async () => {
    world.setReadable(false);
    await until(() => world.kafka.reason()?.startsWith('permission denied'));
  });
  await world.begin([0]);
  expect(world.kafka.reason()).toBeString();
  world.setReadable(true);
  await until(() => world.kafka.reason() === undefined);
});
