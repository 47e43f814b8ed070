/** Processes that a killed run left in a data directory: its server, or single processes of it. */
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../../observability/log.ts';
import { readFileStart } from '../private-files.ts';
import { cannotUse, codeOf } from './errors.ts';

/** An argument of our servers, which they write to `postmaster.opts`: it distinguishes them from others. */
export const clusterName = 'order_lookup';

const fastTimeoutMs = 10_000;
const forcedTimeoutMs = 5_000;

/** The pids of PostgreSQL processes whose working directory is `data`. Linux only. */
export const processesIn = (data: string): number[] => {
  if (process.platform !== 'linux') return [];
  const isOurs = (pid: string) => {
    try {
      return (
        readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'postgres' &&
        readlinkSync(`/proc/${pid}/cwd`) === data
      );
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && isOurs(entry))
    .map(Number);
};

const signal = (pids: number[], name: NodeJS.Signals) => {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {}
  }
};

const waitUntilGone = async (data: string, ms: number): Promise<boolean> => {
  const end = performance.now() + ms;
  while (processesIn(data).length > 0) {
    if (performance.now() > end) return false;
    await Bun.sleep(20);
  }
  return true;
};

/** Kills all processes in `data`, like a crash. */
export const killAll = async (data: string): Promise<void> => {
  signal(processesIn(data), 'SIGKILL');
  await waitUntilGone(data, forcedTimeoutMs);
};

/** Root must not follow a link of the server's user, or block on a pipe. */
const read = (data: string, name: string): string => {
  try {
    return readFileStart(join(data, name), 8_192) ?? '';
  } catch (error) {
    throw cannotUse(data, codeOf(error));
  }
};

/**
 * Prepares `data` for a new server. The caller must hold the lock of the directory: then a server of ours that still runs here has
 * lost its parent, and is shut down; remaining processes are killed. Throws if another program started the server.
 */
export const endLeftOver = async (data: string, log: Log): Promise<void> => {
  const pidFile = join(data, 'postmaster.pid');
  // A server in single-user mode writes its pid as a negative number.
  const server = Math.abs(Number.parseInt(read(data, 'postmaster.pid'), 10));
  const processes = processesIn(data);
  if (processes.includes(server)) {
    const options = read(data, 'postmaster.opts');
    if (options && !options.includes(`--cluster_name=${clusterName}`)) {
      throw cannotUse(data, `another PostgreSQL (pid ${server}) runs in it. Stop that first.`);
    }
    log.warn(`stopping a PostgreSQL (pid ${server}) whose process was killed; it ran in ${data}`);
    signal([server], 'SIGINT');
    signal(processes, 'SIGCONT');
    if (!(await waitUntilGone(data, fastTimeoutMs))) await killAll(data);
  } else if (processes.length > 0) {
    log.warn(`killing ${processes.length} orphaned processes of a killed PostgreSQL in ${data}`);
    await killAll(data);
  }
  // Left by a kill -9. Its pid may by now be another program's, or a zombie's: PostgreSQL would take either for a running
  // server.
  if (process.platform === 'linux' && processesIn(data).length === 0) rmSync(pidFile, { force: true });
};
