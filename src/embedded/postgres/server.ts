import { join } from 'node:path';
import { stopTimeoutsMs } from '../../async/stop-timeouts.ts';
import type { Log } from '../../observability/log.ts';
import { cannotUse } from './errors.ts';
import { CLUSTER_NAME, killAll } from './left-over.ts';
import type { Programs } from './programs.ts';
import type { Runner } from './runner.ts';

/** How a server ended. `asked` is false when nobody called `stop`; `lastLine` is the last that it logged. */
export type Ended = {
  code: number | null;
  signal: NodeJS.Signals | number | null;
  asked: boolean;
  lastLine: string;
};

type Parts = { home: string; runner: Runner; programs: Programs; log: Log };

/** Recovery after a crash included. */
const READY_MS = 120_000;
const PORT_ATTEMPTS = 5;

const SETTINGS = {
  cluster_name: CLUSTER_NAME,
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // What was acknowledged is on the disk: on, whatever the file in the directory says.
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  max_connections: 100,
  // Nothing replicates from here.
  wal_level: 'minimal',
  max_wal_senders: 0,
  jit: 'off',
  log_line_prefix: '',
};

const freePort = (): number => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

const eachLine = async (stream: ReadableStream<Uint8Array>, onLine: (line: string) => void) => {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    const lines = (rest + decoder.decode(chunk.value, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(onLine);
  }
};

/** Resolves to whether `promise` did within `ms`. */
const within = async (ms: number, promise: Promise<unknown>): Promise<boolean> => {
  let timer: Timer | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const won = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return won;
};

const launch = async ({ home, runner, programs, log }: Parts, port: number) => {
  const data = join(home, 'data');
  const settings = Object.entries({ ...SETTINGS, port }).map(([name, value]) => `--${name}=${value}`);
  const child = runner.run([programs.postgres, '-D', join(runner.place, 'data'), ...settings]);
  const lines: string[] = [];
  const ready = Promise.withResolvers<true>();
  let asked = false;
  const read = eachLine(child.stderr, (raw) => {
    const line = raw.replaceAll(runner.place, home);
    log.debug(`postgres: ${line}`);
    lines.push(line);
    if (lines.length > 50) lines.shift();
    if (line.includes('database system is ready to accept connections')) ready.resolve(true);
  }).catch((error: Error) => log.warn(`the messages of PostgreSQL cannot be read: ${error.message}`));

  const end = async (): Promise<Ended> => {
    await child.exited;
    // Its last words; a process of it that was left behind may hold the pipe open.
    await within(500, read);
    return { code: child.exitCode, signal: child.signalCode, asked, lastLine: lines.at(-1) ?? '' };
  };
  const ended = end();
  const stop = async () => {
    asked = true;
    child.kill('SIGINT');
    if (await within(stopTimeoutsMs.postgresFast, ended)) return;
    log.warn(
      `PostgreSQL did not shut down in ${stopTimeoutsMs.postgresFast / 1000} s and is stopped at once: its next start recovers`,
    );
    child.kill('SIGQUIT');
    if (await within(stopTimeoutsMs.postgresImmediate, ended)) return;
    await killAll(data);
    child.kill('SIGKILL');
    await ended;
  };
  const started = Promise.race([ready.promise, ended.then(() => false)]);
  const isReady = (await within(READY_MS, started)) && (await started);
  return { port, pid: child.pid, ended, stop, lines, isReady };
};

/** What a server that did not start says of it: the fatal line with its details, else the last lines. */
const complaint = (lines: string[]): string => {
  const fatal = lines.findIndex((line) => /^(FATAL|PANIC):/.test(line));
  return fatal < 0 ? lines.slice(-2).join('\n') : lines.slice(fatal, fatal + 3).join('\n');
};

/**
 * Starts the server and waits until it takes connections; tries again when another program was quicker to take the port.
 * Rejects with what the server said if it ends instead, or is not ready after two minutes.
 */
export const startServer = async (parts: Parts) => {
  for (let attempt = 1; ; attempt++) {
    const server = await launch(parts, freePort());
    if (server.isReady) return server;
    await server.stop();
    const portTaken = server.lines.some((line) => line.includes('Address already in use'));
    if (!portTaken || attempt === PORT_ATTEMPTS) throw cannotUse(parts.home, complaint(server.lines));
  }
};
