import { join } from 'node:path';
import { until } from './until.ts';

export type Replica = Awaited<ReturnType<typeof startReplica>>;

const main = join(import.meta.dir, '../../src/main.ts');

/** The program as a child process. Resolves when it listens; `log` has its lines so far. */
export const startReplica = async (environment: Record<string, string>) => {
  const child = Bun.spawn([process.execPath, main], {
    // All the load comes from one client.
    env: { PATH: process.env.PATH ?? '', RATE_LIMIT: '0', STOP_DELAY: '0', ...environment, PORT: '0' },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const lines: string[] = [];
  const reading = (async () => {
    const text = new TextDecoder();
    let rest = '';
    for await (const part of child.stdout as AsyncIterable<Uint8Array> & typeof child.stdout) {
      const split = (rest + text.decode(part, { stream: true })).split('\n');
      rest = split.pop() ?? '';
      lines.push(...split);
    }
  })();
  const listening = () => lines.find((line) => line.includes('"listening"'));
  // On a busy machine several start at once.
  await until(() => listening() ?? child.exitCode !== null, 60_000);
  const line = listening();
  if (!line) throw new Error(`The program ended with ${child.exitCode}:\n${lines.join('\n')}`);
  const { url } = JSON.parse(line) as { url: string };
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const status = await child.exited;
    await reading;
    return status;
  };
  return {
    url,
    pid: child.pid,
    log: lines,
    running: () => child.exitCode === null && child.signalCode === null,
    has: (message: string) => lines.some((one) => one.includes(message)),
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
  };
};
