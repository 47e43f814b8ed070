import { join } from 'node:path';
import { stopTimeoutsMs } from '../../async/stop-timeouts.ts';
import { waitAtMost } from '../../async/timeouts.ts';
import type { Log } from '../../observability/log.ts';
import { cannotUse } from './errors.ts';
import { clusterName, killAll } from './left-over.ts';
import type { Programs } from './programs.ts';
import type { Runner } from './runner.ts';

/** How a server ended. `asked`: by `stop`. `lastLine`: the last line that it logged. */
export type Ended = {
  code: number | null;
  signal: NodeJS.Signals | number | null;
  asked: boolean;
  lastLine: string;
};

type Parts = { home: string; runner: Runner; programs: Programs; log: Log };

/** Includes recovery after a crash. */
const readyTimeoutMs = 120_000;
const maxPortAttempts = 5;

const fixedSettings = {
  cluster_name: clusterName,
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // Durability must not depend on the postgresql.conf in the directory.
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  max_connections: 100,
  // There are no replicas.
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

/** Whether `promise` resolves within `ms`. */
const settlesWithin = async (ms: number, promise: Promise<unknown>): Promise<boolean> => {
  let isSettled = false;
  await waitAtMost(
    ms,
    promise.then(() => {
      isSettled = true;
    }),
  );
  return isSettled;
};

const launch = async ({ home, runner, programs, log }: Parts, port: number) => {
  const data = join(home, 'data');
  const settings = Object.entries({ ...fixedSettings, port }).map(([name, value]) => `--${name}=${value}`);
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
  }).catch((error: Error) => log.warn(`cannot read the log of PostgreSQL: ${error.message}`));

  const end = async (): Promise<Ended> => {
    await child.exited;
    // For its last lines; not for longer, as an orphaned child process may hold the pipe open.
    await settlesWithin(500, read);
    return { code: child.exitCode, signal: child.signalCode, asked, lastLine: lines.at(-1) ?? '' };
  };
  const ended = end();
  const stop = async () => {
    asked = true;
    child.kill('SIGINT');
    if (await settlesWithin(stopTimeoutsMs.postgresFast, ended)) return;
    log.warn(
      `PostgreSQL did not shut down in ${stopTimeoutsMs.postgresFast / 1000} s and is killed; the next start recovers`,
    );
    child.kill('SIGQUIT');
    if (await settlesWithin(stopTimeoutsMs.postgresImmediate, ended)) return;
    await killAll(data);
    child.kill('SIGKILL');
    await ended;
  };
  const started = Promise.race([ready.promise, ended.then(() => false)]);
  const isReady = (await settlesWithin(readyTimeoutMs, started)) && (await started);
  return { port, pid: child.pid, ended, stop, lines, isReady };
};

/** Why a server did not start: the fatal line with its details, else the last lines. */
const startError = (lines: string[]): string => {
  const fatal = lines.findIndex((line) => /^(FATAL|PANIC):/.test(line));
  return fatal < 0 ? lines.slice(-2).join('\n') : lines.slice(fatal, fatal + 3).join('\n');
};

/**
 * Starts the server and waits until it accepts connections. Retries on another port if another program took the port first. Rejects
 * with the server's error if it ends, or is not ready after two minutes.
 */
export const startServer = async (parts: Parts) => {
  for (let attempt = 1; ; attempt++) {
    const server = await launch(parts, freePort());
    if (server.isReady) return server;
    await server.stop();
    const portTaken = server.lines.some((line) => line.includes('Address already in use'));
    if (!portTaken || attempt === maxPortAttempts) throw cannotUse(parts.home, startError(server.lines));
  }
};
