import { expect, setDefaultTimeout, test } from 'bun:test';
import { createOffsets, type Group } from '../../src/postgres/offsets.ts';
import { testDatabase } from '../support/kafka-and-postgres.ts';

setDefaultTimeout(60_000);

const groups = ['first', 'second'].map((groupId) => ({ groupId, topic: 'orders' }));
const letters = [3, 7].map((offset) => ({ offset: String(offset), digest: `digest of ${offset}` }));

const openWorld = async () => {
  const database = await testDatabase();
  const offsets = createOffsets(database.sql);
  const begin = async (group: Group, low: bigint, isNewTopic = false) => {
    const claim = crypto.randomUUID();
    const start = { partition: 0, start: low, low, isPastSkip: false, isNewTopic, leaderEpoch: undefined };
    await offsets.claim(group, [0], claim);
    expect(await offsets.begin(group, undefined, [start], claim)).toEqual([0]);
    return claim;
  };
  const move = async (group: Group, sent: typeof letters) => {
    const [claim, nextClaim] = [await begin(group, 0n), crypto.randomUUID()];
    const range = { ...group, partition: 0, from: 0n, to: 9n, leaderEpoch: undefined, claim, nextClaim };
    expect(await offsets.move(range, sent)).toBe(true);
  };
  const known = async (group: Group) => [...(await offsets.findDeadLettered(group, 0, letters))].sort();
  return { begin, move, known, [Symbol.asyncDispose]: database[Symbol.asyncDispose] };
};

test('each group has dead letters of its own for the messages of a partition', async () => {
  await using world = await openWorld();
  const [first, second] = groups as [Group, Group];
  await world.move(first, letters);
  expect(await world.known(second)).toEqual([]);
  await world.move(second, letters.slice(1));
  expect(await world.known(first)).toEqual(['3', '7']);
  expect(await world.known(second)).toEqual(['7']);
});

test('a group that begins forgets the dead letters of deleted messages, and in a new topic all, but not those of another group', async () => {
  await using world = await openWorld();
  const [first, second] = groups as [Group, Group];
  for (const group of groups) await world.move(group, letters);
  await world.begin(first, 5n);
  expect(await world.known(first)).toEqual(['7']);
  expect(await world.known(second)).toEqual(['3', '7']);
  await world.begin(first, 0n, true);
  expect(await world.known(first)).toEqual([]);
  expect(await world.known(second)).toEqual(['3', '7']);
});
