import { expect, test } from 'bun:test';

/** Sends itself `first`, then `next` again and again, until that counts as the second signal. Prints which, and after how many ms. */
const script = (first: string, next: string) => `
  import { onStopSignals } from './src/async/signals.ts';
  let firstAt = 0;
  const send = (signal) => process.kill(process.pid, signal);
  onStopSignals(
    () => {
      firstAt = performance.now();
      setInterval(() => send('${next}'), 20);
    },
    (signal) => {
      console.log(signal, performance.now() - firstAt);
      process.exit(7);
    },
  );
  setInterval(() => {}, 1_000);
  send('${first}');`;

const run = async (first: string, next: string) => {
  const child = Bun.spawn([process.execPath, '-e', script(first, next)], { stdout: 'pipe' });
  const [signal, afterMs] = (await new Response(child.stdout).text()).trim().split(' ');
  return { status: await child.exited, signal, afterMs: Number(afterMs) };
};

test.each(['SIGINT', 'SIGTERM'])(
  'a %s that bun or npm passes on, which all processes have got already, is no second one',
  async (signal) => {
    const { afterMs, ...ended } = await run(signal, signal);
    expect(ended).toEqual({ status: 7, signal });
    expect(afterMs).toBeGreaterThan(500);
  },
);

test.each([
  ['SIGINT', 'SIGTERM'],
  ['SIGTERM', 'SIGINT'],
])('after %s, %s is a second signal at once', async (first, next) => {
  const { afterMs, ...ended } = await run(first, next);
  expect(ended).toEqual({ status: 7, signal: next });
  expect(afterMs).toBeLessThan(500);
});
