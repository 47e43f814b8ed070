import { expect, test } from 'bun:test';
import { backoff, retry, sleep } from '../../src/async/retry.ts';
import { waitAtMost } from '../../src/async/timeouts.ts';

const never = new AbortController().signal;

test('the backoff grows from 100 ms to 5 s, less up to half', () => {
  for (let round = 0; round < 200; round++) {
    expect(backoff(0)).toBe(100);
    expect(backoff(3)).toBeWithin(400, 801);
    for (const attempt of [6, 10, 100, 5_000]) expect(backoff(attempt)).toBeWithin(2_500, 5_001);
  }
  expect(new Set(Array.from({ length: 50 }, () => backoff(9))).size).toBeGreaterThan(40);
});

test('a sleep ends when its signal is aborted, and at once if it already is', async () => {
  const aborting = new AbortController();
  const begun = performance.now();
  const sleeping = sleep(60_000, aborting.signal);
  aborting.abort();
  await sleeping;
  await sleep(60_000, aborting.signal);
  await sleep(20);
  expect(performance.now() - begun).toBeWithin(15, 5_000);
});

test('work is retried until it succeeds, and each failure before is reported', async () => {
  const failures: unknown[] = [];
  let attempts = 0;
  const work = async () => {
    if (attempts++ < 2) throw new Error(`failure ${attempts}`);
    return 'done';
  };
  expect(await retry(work, { signal: never, failed: (error) => failures.push(String(error)) })).toBe('done');
  expect(failures).toEqual(['Error: failure 1', 'Error: failure 2']);
});

test('a final error ends the attempts, and is not reported', async () => {
  const failures: unknown[] = [];
  const work = async () => {
    throw new Error('final');
  };
  const options = { signal: never, isFinal: () => true, failed: (error: unknown) => failures.push(error) };
  await expect(retry(work, options)).rejects.toThrow('final');
  expect(failures).toEqual([]);
});

test('an abort ends the attempts with its reason, even before the first', async () => {
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

test('an error caused by the abort is not reported as a failure', async () => {
  const aborting = new AbortController();
  const failures: unknown[] = [];
  const trying = retry(
    async () => {
      aborting.abort(new Error('stop'));
      aborting.signal.throwIfAborted();
    },
    { signal: aborting.signal, failed: (error) => failures.push(error) },
  );
  await expect(trying).rejects.toThrow('stop');
  expect(failures).toEqual([]);
});

test('waitAtMost resolves with the promise or after the time, and rejects with the promise only within the time', async () => {
  const begun = performance.now();
  await waitAtMost(60_000, Promise.resolve());
  await waitAtMost(20, new Promise(() => {}));
  await expect(waitAtMost(60_000, Promise.reject(new Error('early')))).rejects.toThrow('early');
  const late = Promise.withResolvers<void>();
  await waitAtMost(10, late.promise);
  late.reject(new Error('too late'));
  expect(performance.now() - begun).toBeLessThan(10_000);
});
