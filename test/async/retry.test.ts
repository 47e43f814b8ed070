import { expect, test } from 'bun:test';
import { backoff, retry, sleep, waitAtMost } from '../../src/async/retry.ts';

const never = new AbortController().signal;

test('waits grow from 100 ms to 5 s, less up to half, and stay there', () => {
  for (let round = 0; round < 200; round++) {
    expect(backoff(0)).toBe(100);
    expect(backoff(3)).toBeWithin(400, 801);
    for (const attempt of [6, 10, 100, 5_000]) expect(backoff(attempt)).toBeWithin(2_500, 5_001);
  }
  expect(new Set(Array.from({ length: 50 }, () => backoff(9))).size).toBeGreaterThan(40);
});

test('a pause ends at an abort, and at once when there was one', async () => {
  const aborting = new AbortController();
  const begun = performance.now();
  const pausing = sleep(60_000, aborting.signal);
  aborting.abort();
  await pausing;
  await sleep(60_000, aborting.signal);
  await sleep(20);
  expect(performance.now() - begun).toBeWithin(15, 5_000);
});

test('work is done again until it succeeds, and each failure before is told', async () => {
  const told: unknown[] = [];
  let attempts = 0;
  const work = async () => {
    if (attempts++ < 2) throw new Error(`failure ${attempts}`);
    return 'done';
  };
  expect(await retry(work, { signal: never, failed: (error) => told.push(String(error)) })).toBe('done');
  expect(told).toEqual(['Error: failure 1', 'Error: failure 2']);
});

test('a final error ends the attempts, and is not told', async () => {
  const told: unknown[] = [];
  const work = async () => {
    throw new Error('final');
  };
  const options = { signal: never, isFinal: () => true, failed: (error: unknown) => told.push(error) };
  await expect(retry(work, options)).rejects.toThrow('final');
  expect(told).toEqual([]);
});

test('an abort ends the attempts with its reason, before the first one too', async () => {
  const aborting = new AbortController();
  let attempts = 0;
  const trying = retry(
    async () => {
      attempts++;
      throw new Error('again');
    },
    { signal: aborting.signal, failed: () => aborting.abort(new Error('stop')) },
  );
  await expect(trying).rejects.toThrow('stop');
  await expect(retry(async () => attempts++, { signal: aborting.signal })).rejects.toThrow('stop');
  expect(attempts).toBe(1);
});

test('work that was given up because of an abort has not failed', async () => {
  const aborting = new AbortController();
  const told: unknown[] = [];
  const trying = retry(
    async () => {
      aborting.abort(new Error('stop'));
      aborting.signal.throwIfAborted();
    },
    { signal: aborting.signal, failed: (error) => told.push(error) },
  );
  await expect(trying).rejects.toThrow('stop');
  expect(told).toEqual([]);
});

test('within resolves at the promise or at the time, and rejects with the promise only in time', async () => {
  const begun = performance.now();
  await waitAtMost(60_000, Promise.resolve());
  await waitAtMost(20, new Promise(() => {}));
  await expect(waitAtMost(60_000, Promise.reject(new Error('early')))).rejects.toThrow('early');
  const late = Promise.withResolvers<void>();
  await waitAtMost(10, late.promise);
  late.reject(new Error('late, and nobody’s concern'));
  expect(performance.now() - begun).toBeLessThan(10_000);
});
