import { Histogram, type Registry } from 'prom-client';
import { createReadings } from './reading.ts';

/** How often the lag of the event loop is measured. */
const sampleEveryMs = 100;

/** Event loop lag and heap of the current thread. `registry` must add the label `thread`. */
export const addThreadMetrics = (registry: Registry) => {
  const { gauge } = createReadings(registry);
  const lag = new Histogram({
    name: 'event_loop_lag_seconds',
    help: `How late a timer fired, measured every ${sampleEveryMs} ms`,
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers: [registry],
  });
  let due = performance.now() + sampleEveryMs;
  const timer = setInterval(() => {
    const now = performance.now();
    lag.observe(Math.max(0, now - due) / 1000);
    due = now + sampleEveryMs;
  }, sampleEveryMs);
  timer.unref();

  gauge({
    name: 'javascript_heap_used_bytes',
    help: 'JavaScript heap in use by a thread, uncollected garbage included',
    read: () => process.memoryUsage().heapUsed,
  });
  return { stop: () => clearInterval(timer) };
};
