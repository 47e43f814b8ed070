import { expect, test } from 'bun:test';
import { createBreaker } from '../../src/lookup/circuit-breaker.ts';

const open = () => {
  let time = 0;
  const opened: unknown[] = [];
  const breaker = createBreaker({ within: 60_000, opened: (error) => opened.push(error), now: () => time });
  const fail = () => breaker.ask(() => Promise.reject('away'));
  const succeed = () => breaker.ask(async () => 'answer');
  /** How long it is left alone, in ms. */
  const pause = () => {
    const begun = time;
    while (breaker.isOpen()) time += 10;
    return time - begun;
  };
  return { breaker, opened, fail, succeed, pause, wait: (ms: number) => (time += ms) };
};

test('two failures in a row are nothing, a third leaves it alone for half a second', async () => {
  const { breaker, opened, fail, succeed, pause } = open();
  for (const ask of [fail, fail, succeed, fail, fail]) await ask();
  expect(breaker.isOpen()).toBe(false);
  await fail();
  expect(breaker.isOpen()).toBe(true);
  expect(await succeed()).toBeUndefined();
  expect(opened).toEqual(['away']);
  expect(pause()).toBe(500);
  expect(await succeed()).toBe('answer');
});

test('each attempt that fails doubles the pause, up to ten seconds', async () => {
  const { fail, pause } = open();
  const pauses: number[] = [];
  for (let failure = 0; failure < 3; failure++) await fail();
  for (let attempt = 0; attempt < 7; attempt++) {
    pauses.push(pause());
    await fail();
  }
  expect(pauses).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test('a service that is well now and then is left alone longer each time, until it stays well', async () => {
  const { fail, succeed, pause, wait } = open();
  const relapse = async () => {
    for (let failure = 0; failure < 3; failure++) await fail();
    const ms = pause();
    await succeed();
    return ms;
  };
  expect([await relapse(), await relapse(), await relapse()]).toEqual([500, 1_000, 2_000]);
  wait(10_000);
  expect(await relapse()).toBe(500);
});

test('a thousand questions that fail together count as one failure too many', async () => {
  const { breaker, opened, succeed, pause } = open();
  const failAll = async () => {
    const together = Promise.withResolvers<never>();
    const asked = Array.from({ length: 1_000 }, () => breaker.ask(() => together.promise));
    together.reject('away');
    await Promise.all(asked);
    return pause();
  };
  expect(await failAll()).toBe(500);
  await succeed();
  expect(await failAll()).toBe(1_000);
  expect(opened).toHaveLength(2);
});

test('after the pause one question decides, and the others are not let through meanwhile', async () => {
  const { breaker, fail, succeed, pause } = open();
  for (let failure = 0; failure < 3; failure++) await fail();
  pause();
  const answer = Promise.withResolvers<string>();
  const probe = breaker.ask(() => answer.promise);
  expect(breaker.isOpen()).toBe(true);
  expect(await succeed()).toBeUndefined();
  answer.resolve('well');
  expect(await probe).toBe('well');
  expect([breaker.isOpen(), breaker.isWell()]).toEqual([false, true]);
});

test('what it was asked and did not answer is counted, and what it was not asked is not', async () => {
  const { breaker, fail, succeed, pause } = open();
  for (const ask of [fail, succeed, fail, fail, fail, fail]) await ask();
  expect(breaker.failures()).toBe(4);
  pause();
  await fail();
  expect(breaker.failures()).toBe(5);
});

test('an answer that takes too long is a failure, and nobody’s when it comes', async () => {
  const opened: unknown[] = [];
  const breaker = createBreaker({ within: 20, opened: (error) => opened.push(String(error)) });
  const late = Promise.withResolvers<string>();
  const questions = [late.promise, late.promise, late.promise];
  expect(await Promise.all(questions.map((answer) => breaker.ask(() => answer)))).toEqual(
    Array(3).fill(undefined),
  );
  expect(opened).toEqual(['Error: no answer within 20 ms']);
  late.resolve('late');
  await late.promise;
  expect([breaker.isOpen(), breaker.isWell(), breaker.failures()]).toEqual([true, false, 3]);
});
