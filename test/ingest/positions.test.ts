import { expect, test } from 'bun:test';
import { createPositions } from '../../src/ingest/positions.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { silent, testDatabase } from '../support/kafka-and-postgres.ts';

/** Positions in one partition with ten messages; the query that begins it fails as often as `failures` says. */
const openPositions = async ({ failures = 0 } = {}) => {
  const database = await testDatabase();
  const offsets = createOffsets(database.sql);
  const postgres = createServiceState('PostgreSQL', silent);
  let left = failures;
  const positions = createPositions({
    kafkaOffsets: {
      topicId: async () => undefined,
      epochEnds: async () => new Map(),
      leaders: async () => ({ groups: [[0]], leaderless: [] }),
      committed: async () => new Map(),
      ends: async () => ({ known: [{ partition: 0, low: 0n, high: 10n }], failed: new Map() }),
    },
    group: { groupId: 'group', topic: 'orders' },
    offsets: {
      claim: offsets.claim,
      async begin(...call) {
        if (left-- > 0) throw new Error('connection closed');
        return offsets.begin(...call);
      },
    },
    postgres,
    kafkaState: createServiceState('Kafka', silent),
    health: { markDown() {}, markUp() {} },
    started() {},
    log: silent,
  });
  return {
    postgres,
    begin: (partitions: number[]) => positions.begin(partitions, AbortSignal.timeout(10_000), () => {}),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
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
