import { Histogram, type Registry } from 'prom-client';
import { createReadings } from './reading.ts';

/** How often it is looked whether the event loop is late, in ms. */
const lookEvery = 100;

/** Of one thread: its event loop and its heap. `registry` puts the thread's name on each. */
export const addThreadMetrics = (registry: Registry) => {
  const { gauge } = createReadings(registry);
  const lag = new Histogram({
    name: 'event_loop_lag_seconds',
    help: `How late a timer was that should have run, looked at every ${lookEvery} ms`,
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers: [registry],
  });
  let due = performance.now() + lookEvery;
  const timer = setInterval(() => {
    const now = performance.now();
    lag.observe(Math.max(0, now - due) / 1000);
    due = now + lookEvery;
  }, lookEvery);
  timer.unref();

  gauge({
    name: 'javascript_heap_used_bytes',
    help: 'Heap of a thread that JavaScript uses, what is not collected yet included',
    read: () => process.memoryUsage().heapUsed,
  });
  return { stop: () => clearInterval(timer) };
};
