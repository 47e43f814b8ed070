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
