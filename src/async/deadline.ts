import { timeoutError } from './timeouts.ts';

type Wait = { until: number; onTimeout: (error: Error) => void };

/**
 * Timeouts of the same length, `ms`, with one timer for the oldest of them. For hot paths: each lookup that memory cannot answer
 * waits here, and a timer or a promise per lookup would cost more than the rest of it.
 */
export const createDeadline = (ms: number) => {
  // In the order in which they begin, which is the order in which they expire.
  const waits = new Set<Wait>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const schedule = (delayMs: number) => {
    timer = setTimeout(expire, delayMs);
  };
  const expire = () => {
    timer = undefined;
    const now = performance.now();
    for (const wait of waits) {
      if (wait.until > now) return schedule(Math.ceil(wait.until - now));
      waits.delete(wait);
      wait.onTimeout(timeoutError(ms));
    }
  };

  return {
    /** Calls `onTimeout` once after `ms`, unless the wait has ended before. */
    begin(onTimeout: Wait['onTimeout']): Wait {
      const wait = { until: performance.now() + ms, onTimeout };
      waits.add(wait);
      if (!timer) schedule(ms);
      return wait;
    },
    /** False if it has already timed out: the late result is ignored. */
    end: (wait: Wait): boolean => waits.delete(wait),
  };
};
