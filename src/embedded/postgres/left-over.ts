/** What another run left in a data directory: a server that outlived it, or single processes of one. */
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../../observability/log.ts';
import { readFileStart } from '../private-files.ts';
import { cannotUse, codeOf } from './errors.ts';

/** In the server's command line, which it writes to `postmaster.opts`: tells our servers from others'. */
export const CLUSTER_NAME = 'order_lookup';

const FAST_MS = 10_000;
const FORCED_MS = 5_000;

/** The pids of the PostgreSQL processes that work in `data`, all of which have it as working directory. Linux only. */
export const processesIn = (data: string): number[] => {
  if (process.platform !== 'linux') return [];
  const works = (pid: string) => {
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
    .filter((entry) => /^\d+$/.test(entry) && works(entry))
    .map(Number);
};

const signal = (pids: number[], name: NodeJS.Signals) => {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {}
  }
};

const gone = async (data: string, ms: number): Promise<boolean> => {
  const end = performance.now() + ms;
  while (processesIn(data).length > 0) {
    if (performance.now() > end) return false;
    await Bun.sleep(20);
  }
  return true;
};

/** Ends all that still works in `data` at once, as a crash would. */
export const killAll = async (data: string): Promise<void> => {
  signal(processesIn(data), 'SIGKILL');
  await gone(data, FORCED_MS);
};

/** Root must not be made to follow a link of the server's user's, or to wait for ever at a pipe. */
const read = (data: string, name: string): string => {
  try {
    return readFileStart(join(data, name), 8_192) ?? '';
  } catch (error) {
    throw cannotUse(data, codeOf(error));
  }
};

/**
 * Clears `data` for a new server. To be called by the holder of the directory's lock: so a server that runs here and was
 * started by us has lost the process it was for, and is shut down in order; what remains is killed. Throws if the server that
 * runs here was started by someone else.
 */
export const endLeftOver = async (data: string, log: Log): Promise<void> => {
  const pidFile = join(data, 'postmaster.pid');
  // A server in single-user mode writes its pid as a negative number.
  const server = Math.abs(Number.parseInt(read(data, 'postmaster.pid'), 10));
  const processes = processesIn(data);
  if (processes.includes(server)) {
    const options = read(data, 'postmaster.opts');
    if (options && !options.includes(`--cluster_name=${CLUSTER_NAME}`)) {
      throw cannotUse(data, `another PostgreSQL (pid ${server}) works in it. Stop that first.`);
    }
    log.warn(`stopping a PostgreSQL (pid ${server}) whose process was killed; it worked in ${data}`);
    signal([server], 'SIGINT');
    signal(processes, 'SIGCONT');
    if (!(await gone(data, FAST_MS))) await killAll(data);
  } else if (processes.length > 0) {
    log.warn(`ending ${processes.length} processes left behind by a PostgreSQL that was killed in ${data}`);
    await killAll(data);
  }
  // Left by a kill -9. Its pid may belong to another program by now, or to a dead process that nobody has collected:
  // PostgreSQL would take either for a server.
  if (process.platform === 'linux' && processesIn(data).length === 0) rmSync(pidFile, { force: true });
};
