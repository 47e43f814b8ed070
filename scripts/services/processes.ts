/** Identities of processes, from Linux's /proc: a pid alone may be reused by another process. */
import { readdirSync, readFileSync } from 'node:fs';

/** `started`: start time in clock ticks since boot, which makes the pid unique. */
export type Identity = { pid: number; started: number };

/** State, parent and start time of a process, or of a thread by `PID/task/TID`; undefined if it does not exist. */
const look = (path: number | string) => {
  try {
    const stat = readFileSync(`/proc/${path}/stat`, 'latin1');
    // The name, in parentheses, may contain spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], parent: Number(fields[1]), started: Number(fields[19]) };
  } catch {
    return undefined;
  }
};

const threadsOf = (pid: number): string[] => {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
};

export const identify = (pid: number): Identity | undefined => {
  const found = look(pid);
  return found && { pid, started: found.started };
};

/**
 * Whether this process still runs; a zombie does not. While other threads still end, its first thread is a zombie already, but
 * files are locked and ports are taken until the last one has ended.
 */
export const isRunning = ({ pid, started }: Identity): boolean => {
  const found = look(pid);
  if (found?.started !== started) return false;
  return found.state !== 'Z' || threadsOf(pid).length > 1;
};

const childrenOf = (parent: number): Identity[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      const found = look(Number(entry));
      return found?.parent === parent && found.state !== 'Z'
        ? [{ pid: Number(entry), started: found.started }]
        : [];
    });

export const signal = (process_: Identity, name: NodeJS.Signals): void => {
  if (!isRunning(process_)) return;
  try {
    process.kill(process_.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

const stopTimeoutMs = 1_000;

/** Whether all threads have stopped or ended. */
export const hasStopped = ({ pid }: Identity): boolean =>
  threadsOf(pid).every((thread) => /[TtZX]/.test(look(`${pid}/task/${thread}`)?.state ?? 'X'));

/** Returns when it has stopped: on a busy machine its threads go on for a while, and one that waits for the disk stops after that. */
const stop = (process_: Identity) => {
  signal(process_, 'SIGSTOP');
  for (const end = performance.now() + stopTimeoutMs; !hasStopped(process_) && performance.now() < end; )
    Bun.sleepSync(1);
};

/**
 * Signals a process and its children. It is stopped first, so that it cannot fork meanwhile. Signalling a process group would not
 * suffice: each backend of PostgreSQL leads its own.
 */
export const signalTree = (root: Identity, name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void => {
  if (name !== 'SIGCONT') stop(root);
  for (const child of childrenOf(root.pid)) {
    if (name === 'SIGSTOP') stop(child);
    else signal(child, name);
  }
  if (name !== 'SIGSTOP') signal(root, name);
};

/** Whether `condition` becomes true within `ms`. */
export const until = async (condition: () => boolean, ms: number): Promise<boolean> => {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) return false;
    await Bun.sleep(20);
  }
  return true;
};
