import { createRing, type Sample, type Series, toSample } from './series.ts';
import type { Totals } from './totals.ts';

/** Both windows: how long they are, and how far apart their samples. */
export const windows = {
  '15m': { intervalMs: 1_000, size: 900 },
  '24h': { intervalMs: 60_000, size: 1_440 },
} as const;
export type Window = keyof typeof windows;
export const windowNames = Object.keys(windows) as Window[];

type Options = { readTotals: () => Promise<Totals>; intervalMs?: number };

/** What happened in the last 15 minutes, by the second, and in the last 24 hours, by the minute. */
export const createHistory = ({ readTotals, intervalMs = windows['15m'].intervalMs }: Options) => {
  const rings = { '15m': createRing(windows['15m'].size), '24h': createRing(windows['24h'].size) };
  const last: Partial<Record<Window, Totals>> = {};
  const listeners = new Set<(sample: Sample) => void>();
  let isReading = false;

  const add = (window: Window, now: Totals): Sample | undefined => {
    const before = last[window];
    // A timer is not exact: half a reading too early is due.
    if (before && now.time - before.time < windows[window].intervalMs - windows['15m'].intervalMs / 2)
      return undefined;
    last[window] = now;
    if (!before) return undefined;
    const sample = toSample(before, now);
    rings[window].push(sample);
    return sample;
  };
  const tick = async () => {
    // A consumer that is busy answers late; the next reading covers the longer time.
    if (isReading) return;
    isReading = true;
    try {
      const now = await readTotals();
      const sample = add('15m', now);
      add('24h', now);
      if (sample) for (const listener of listeners) listener(sample);
    } finally {
      isReading = false;
    }
  };
  void tick();
  const timer = setInterval(tick, intervalMs);
  timer.unref();

  return {
    series: (window: Window): Series => rings[window].read(),
    /** Calls `listener` with each sample of a second; returns what ends that. */
    subscribe(listener: (sample: Sample) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      clearInterval(timer);
    },
  };
};

export type History = ReturnType<typeof createHistory>;
