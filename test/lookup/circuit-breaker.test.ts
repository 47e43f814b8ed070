import { expect, test } from 'bun:test';
import { createCircuitBreaker } from '../../src/lookup/circuit-breaker.ts';

const open = () => {
  let time = 0;
  const opened: unknown[] = [];
  const breaker = createCircuitBreaker({
    timeoutMs: 60_000,
    onOpen: (error) => opened.push(error),
    now: () => time,
  });
  const fail = () => breaker.call(() => Promise.reject('away'));
  const succeed = () => breaker.call(async () => 'answer');
  /** Waits until the circuit is half-open; returns how long that took, in ms. */
  const cooldown = () => {
    const begun = time;
    while (breaker.isOpen()) time += 10;
    return time - begun;
  };
  return { breaker, opened, fail, succeed, cooldown, wait: (ms: number) => (time += ms) };
};

test('a third failure in a row opens the circuit for half a second', async () => {
  const { breaker, opened, fail, succeed, cooldown } = open();
  for (const call of [fail, fail, succeed, fail, fail]) await call();
  expect(breaker.isOpen()).toBe(false);
  await fail();
  expect(breaker.isOpen()).toBe(true);
  expect(await succeed()).toBeUndefined();
  expect(opened).toEqual(['away']);
  expect(cooldown()).toBe(500);
  expect(await succeed()).toBe('answer');
});

test('each failure while half-open doubles the cool-down, up to ten seconds', async () => {
  const { fail, cooldown } = open();
  const cooldowns: number[] = [];
  for (let failure = 0; failure < 3; failure++) await fail();
  for (let attempt = 0; attempt < 7; attempt++) {
    cooldowns.push(cooldown());
    await fail();
  }
  expect(cooldowns).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test('the cool-down doubles with each relapse, until the circuit has stayed closed for ten seconds', async () => {
  const { fail, succeed, cooldown, wait } = open();
  const relapse = async () => {
    for (let failure = 0; failure < 3; failure++) await fail();
    const ms = cooldown();
    await succeed();
    return ms;
  };
  expect([await relapse(), await relapse(), await relapse()]).toEqual([500, 1_000, 2_000]);
  wait(10_000);
  expect(await relapse()).toBe(500);
});

test('a thousand concurrent calls that fail open the circuit once', async () => {
  const { breaker, opened, succeed, cooldown } = open();
  const failAll = async () => {
    const together = Promise.withResolvers<never>();
    const calls = Array.from({ length: 1_000 }, () => breaker.call(() => together.promise));
    together.reject('away');
    await Promise.all(calls);
    return cooldown();
  };
  expect(await failAll()).toBe(500);
  await succeed();
  expect(await failAll()).toBe(1_000);
  expect(opened).toHaveLength(2);
});

test('while half-open one call decides, and the others are rejected', async () => {
  const { breaker, fail, succeed, cooldown } = open();
  for (let failure = 0; failure < 3; failure++) await fail();
  cooldown();
  const answer = Promise.withResolvers<string>();
  const trial = breaker.call(() => answer.promise);
  expect(breaker.isOpen()).toBe(true);
  expect(await succeed()).toBeUndefined();
  answer.resolve('up');
  expect(await trial).toBe('up');
  expect([breaker.isOpen(), breaker.isClosed()]).toEqual([false, true]);
});

test('calls that failed are counted, rejected calls are not', async () => {
  const { breaker, fail, succeed, cooldown } = open();
  for (const call of [fail, succeed, fail, fail, fail, fail]) await call();
  expect(breaker.failures()).toBe(4);
  cooldown();
  await fail();
  expect(breaker.failures()).toBe(5);
});

test('a call that times out is a failure, and its late answer is ignored', async () => {
  const opened: unknown[] = [];
  const breaker = createCircuitBreaker({ timeoutMs: 20, onOpen: (error) => opened.push(String(error)) });
  const late = Promise.withResolvers<string>();
  const answers = [late.promise, late.promise, late.promise];
  expect(await Promise.all(answers.map((answer) => breaker.call(() => answer)))).toEqual(
    Array(3).fill(undefined),
  );
  expect(opened).toEqual(['TimeoutError: no answer within 20 ms']);
  late.resolve('late');
  await late.promise;
  expect([breaker.isOpen(), breaker.isClosed(), breaker.failures()]).toEqual([true, false, 3]);
});
