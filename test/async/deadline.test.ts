import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { createDeadline } from '../../src/async/deadline.ts';
import { sleep } from '../../src/async/retry.ts';

test('a wait times out once, after its time, and ending it later has no effect', async () => {
  const deadline = createDeadline(30);
  const begun = performance.now();
  const given = Promise.withResolvers<Error>();
  let times = 0;
  const wait = deadline.begin((error) => {
    times++;
    given.resolve(error);
  });
  expect((await given.promise).message).toBe('no answer within 30 ms');
  expect(performance.now() - begun).toBeWithin(29, 5_000);
  expect(deadline.end(wait)).toBe(false);
  const other = Promise.withResolvers<Error>();
  deadline.begin(other.resolve);
  await other.promise;
  expect(times).toBe(1);
});

test('a wait that has ended does not time out, and ends once', async () => {
  const deadline = createDeadline(20);
  let times = 0;
  const wait = deadline.begin(() => times++);
  const other = Promise.withResolvers<Error>();
  deadline.begin(other.resolve);
  expect([deadline.end(wait), deadline.end(wait)]).toEqual([true, false]);
  await other.promise;
  expect(times).toBe(0);
});

test('waits that begin and end in any order each end or time out, in the order in which they began', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ after: fc.integer({ min: 0, max: 4 }), ends: fc.boolean() }), {
        minLength: 1,
        maxLength: 12,
      }),
      async (plan) => {
        const deadline = createDeadline(25);
        const begun: number[] = [];
        const givenUp: number[] = [];
        const waits: { wait: ReturnType<typeof deadline.begin>; over: Promise<void> }[] = [];
        for (const { after } of plan) {
          const number = waits.length;
          begun.push(performance.now());
          const over = Promise.withResolvers<void>();
          const giveUp = () => {
            givenUp.push(number);
            expect(performance.now() - (begun[number] as number)).toBeGreaterThanOrEqual(25);
            over.resolve();
          };
          waits.push({ wait: deadline.begin(giveUp), over: over.promise });
          if (after > 0) await sleep(after);
        }
        const ended = plan.map(
          ({ ends }, number) => ends && deadline.end((waits[number] as (typeof waits)[0]).wait),
        );
        await Promise.all(waits.map(({ over }, number) => ended[number] || over));
        expect(givenUp).toEqual(plan.flatMap((_, number) => (ended[number] ? [] : [number])));
      },
    ),
    { numRuns: 40 },
  ));
