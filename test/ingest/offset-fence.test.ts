import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { createFenceWorld, type Fault } from '../support/fence-world.ts';
import { testDatabase, until } from '../support/kafka-and-postgres.ts';

const partitions = 2;
const base = createOrderMaker({ seed: 21 })();
/** FENCE_RUNS=500 makes 500 runs instead of 40. */
setDefaultTimeout(1_200_000);

/** Each uid has two versions, of which the second is a conflict; uid 0 makes a message that is no order. */
const textOf = (partition: number, { uid, version }: { uid: number; version: number }) =>
  uid === 0
    ? '{}'
    : JSON.stringify({ ...base, order_uid: `order-${partition}-${uid}`.padEnd(12, '.'), sm_id: version });

const message = fc.record({ uid: fc.nat(6), version: fc.nat(1) });
const messages = fc.array(message, { minLength: 1, maxLength: 8 });
const partition = fc.nat(partitions - 1);
const member = fc.constantFrom(0, 0, 0, 1, 2);
const fault = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Fault>('none') },
  { weight: 1, arbitrary: fc.constantFrom<Fault>('before', 'after') },
);

const action = fc.oneof(
  { weight: 24, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(5), fault }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      member,
      partition,
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      member,
      only: fc.option(partition, { freq: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wrong' as const), member, partition, from: fc.nat(6) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), member }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('keep' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('setBack' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('look' as const), member }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('elect' as const), partition, end: fc.nat(8), values: messages }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rewind' as const), partition, to: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resetCommit' as const), partition, to: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('recreate' as const), values: fc.tuple(messages, messages) }),
  },
);

test('no message before a stored or committed offset is ever neither stored nor a dead letter, and in the end every message is either', async () => {
  await using database = await testDatabase({ connections: 6 });
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(messages, messages),
      fc.array(action, { minLength: 20, maxLength: 100 }),
      async (logs, actions) => {
        const world = await createFenceWorld(database, partitions);
        const fill = (values: typeof logs) =>
          values.map((one, index) => one.map((each) => textOf(index, each)));
        for (const [index, values] of fill(logs).entries())
          for (const value of values) world.append(index, value);
        const all = Array.from({ length: partitions }, (_, index) => index);
        const created: ReturnType<typeof world.createMember>[] = [];
        const create = () => {
          const made = world.createMember();
          created.push(made);
          return made;
        };
        /** The members, as they believe; one that joins again leaves a zombie behind. */
        const members = all.concat(partitions).map(create);
        const check = async () => {
          expect(await world.lost()).toEqual([]);
          expect(created.flatMap(({ faults }) => faults)).toEqual([]);
        };
        const act = async (step: (typeof actions)[number]) => {
          if (step.do === 'release') await world.release(step.which, step.fault);
          if (step.do === 'deliver') members[step.member]?.deliver(step.partition, step.count);
          if (step.do === 'wrong') members[step.member]?.deliver(step.partition, 2, step.from);
          if (step.do === 'join') {
            members[step.member] = create();
            void members[step.member]?.join(step.only === null ? all : [step.only]);
          }
          if (step.do === 'leave') members[step.member]?.stop();
          if (step.do === 'keep') await world.keep();
          if (step.do === 'setBack') await world.setBack();
          if (step.do === 'rewind') await world.rewind(step.partition, step.to);
          if (step.do === 'resetCommit')
            world.resetCommit(
              step.partition,
              Math.min(step.to, Math.max(0, world.committed(step.partition))),
            );
          if (step.do === 'look') void members[step.member]?.look();
          if (step.do === 'elect')
            world.elect(
              step.partition,
              step.end,
              step.values.map((value) => textOf(step.partition, value)),
            );
          if (step.do === 'recreate') world.recreate(fill(step.values));
          await Bun.sleep(0);
        };
        void members[0]?.join(all);
        while (world.pending() > 0) await world.release(0, 'none');
        for (const step of actions) {
          await act(step);
          await check();
        }

        // From now on nothing fails, and one member has all partitions; but pending calls of the others still take effect.
        let last = create();
        void last.join(all);
        await until(async () => {
          while (world.pending() > 0) await world.release(0, 'none');
          if (last.hasFailed) {
            last.stop();
            last = create();
            void last.join(all);
          }
          for (const one of all) last.deliver(one, 3);
          await Bun.sleep(0);
          const ends = await Promise.all(
            all.map(async (one) => (await world.storedOffset(one)) === world.end(one)),
          );
          return ends.every(Boolean) && all.every((one) => world.committed(one) === world.end(one));
        }, 60_000);
        await check();
        for (const one of all) expect(await world.lostBefore(one, BigInt(world.end(one)))).toEqual([]);
        for (const one of created) one.stop();
        while (world.pending() > 0) await world.release(0, 'before');
      },
    ),
    // Without shrinking, which would take hours, as each run works on a database.
    { numRuns: Number(process.env.FENCE_RUNS ?? 40), endOnFailure: true },
  );
});

const settle = async (world: Awaited<ReturnType<typeof createFenceWorld>>) => {
  for (let idle = 0; idle < 3; idle++) {
    while (world.pending() > 0) {
      await world.release(0, 'none');
      idle = 0;
    }
    await Bun.sleep(1);
  }
};
const orderOf = (uid: number) => textOf(0, { uid, version: 0 });
const someOrders = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => orderOf(from + index));

/** A world with one partition, of which a member has stored four orders. */
const worldWithFourOrders = async (database: Awaited<ReturnType<typeof testDatabase>>) => {
  const world = await createFenceWorld(database, 1);
  for (const value of someOrders(1, 5)) world.append(0, value);
  const member = world.createMember();
  void member.join([0]);
  await settle(world);
  member.deliver(0, 4);
  await settle(world);
  expect(await world.storedOffset(0)).toBe(4);
  return { world, member };
};

test('a batch of a leader that lost records is not stored past the ones that took their place', async () => {
  await using database = await testDatabase();
  const { world, member } = await worldWithFourOrders(database);
  world.elect(0, 2, someOrders(5, 10));
  member.deliver(0, 3);
  await settle(world);
  expect([await world.storedOffset(0), member.hasFailed]).toEqual([4, true]);
  const next = world.createMember();
  void next.join([0]);
  await settle(world);
  next.deliver(0, 8);
  await settle(world);
  expect([await world.storedOffset(0), next.hasFailed]).toEqual([7, false]);
  expect(await world.lost()).toEqual([]);
  next.stop();
});

test('a batch of a new leader that lost nothing is stored', async () => {
  await using database = await testDatabase();
  const { world, member } = await worldWithFourOrders(database);
  world.elect(0, 4, someOrders(5, 10));
  member.deliver(0, 8);
  await settle(world);
  expect([await world.storedOffset(0), member.hasFailed]).toEqual([9, false]);
  member.stop();
});

test.each([
  ['higher than any', 9],
  ['that of an earlier leader', 0],
  ['that of a later leader', 3],
])('a damaged leader epoch, %s, costs a member at the most, wherever it is', async (_, leaderEpoch) => {
  await using database = await testDatabase();
  for (const at of [0, 2, 4, 6, 8]) {
    const world = await createFenceWorld(database, 1);
    for (const end of [4, 8]) world.elect(0, end - 4, someOrders(end - 3, end + 1));
    world.elect(0, 8, someOrders(9, 11));
    world.damageEpochs(0, at, at + 2, leaderEpoch);
    const process = world.createProcess();
    let members = 0;
    for (let isDone = false; !isDone && members < 5; members++) {
      const member = world.createMember(process);
      void member.join([0]);
      await settle(world);
      for (let fetches = 0; fetches < 10 && !member.hasFailed; fetches++) {
        member.deliver(0, 2);
        await settle(world);
      }
      isDone = !member.hasFailed;
      member.stop();
    }
    expect(members).toBeLessThanOrEqual(2);
    expect(await world.storedOffset(0)).toBe(10);
    expect(await world.lostBefore(0, 10n)).toEqual([]);
  }
});

test('a topic that is recreated while an assignment begins is noticed, and read from its beginning', async () => {
  await using database = await testDatabase();
  const { world, member } = await worldWithFourOrders(database);
  member.stop();
  for (let calls = 0; ; calls++) {
    // As after an upgrade: the start learns the topic's id.
    await database.sql`update consumed_offsets set topic_id = null, leader_epoch = null`;
    const next = world.createMember();
    void next.join([0]);
    for (let call = 0; call < calls && world.pending() > 0; call++) await world.release(0, 'none');
    const isBegun = world.pending() === 0;
    world.recreate([someOrders(10 + 10 * calls, 18 + 10 * calls)]);
    await settle(world);
    next.deliver(0, 8);
    await settle(world);
    void next.look();
    await settle(world);
    if (!next.hasFailed) expect([await world.storedOffset(0), await world.lost()]).toEqual([8, []]);
    next.stop();
    const last = world.createMember();
    void last.join([0]);
    await settle(world);
    last.deliver(0, 8);
    await settle(world);
    expect(await world.storedOffset(0)).toBe(8);
    expect(await world.lost()).toEqual([]);
    last.stop();
    if (isBegun) break;
  }
});
