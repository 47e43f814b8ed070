import { expect, test } from 'bun:test';

const script = `
  import { onStopSignals } from './src/async/signals.ts';
  let firstAt = 0;
  const press = () => process.kill(process.pid, 'SIGINT');
  onStopSignals(
    () => {
      firstAt = performance.now();
      setInterval(press, 20);
    },
    (signal) => {
      console.log(signal, performance.now() - firstAt);
      process.exit(7);
    },
  );
  setInterval(() => {}, 1_000);
  press();`;

test('a Ctrl-C that npm passes on, which the terminal has sent already, is no second one', async () => {
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' });
  const [signal, afterMs] = (await new Response(child.stdout).text()).trim().split(' ');
  expect([await child.exited, signal]).toEqual([7, 'SIGINT']);
  expect(Number(afterMs)).toBeGreaterThan(500);
});
