import { expect, test } from 'bun:test';
import { Registry } from 'prom-client';
import { addThreadMetrics } from '../../src/observability/metrics/thread.ts';
import { readSamples } from '../support/samples.ts';
import { until } from '../support/until.ts';

test('a blocked event loop shows as lag', async () => {
  const registry = new Registry();
  const { stop } = addThreadMetrics(registry);
  const late = async (bound: number) => {
    const samples = readSamples(await registry.metrics());
    const count = samples.find(({ name }) => name === 'event_loop_lag_seconds_count')?.value ?? 0;
    const within = samples.find(({ labels }) => labels.le === String(bound))?.value ?? 0;
    return count - within;
  };
  expect(await late(0.25)).toBe(0);
  const until400ms = performance.now() + 400;
  while (performance.now() < until400ms);
  await until(async () => (await late(0.25)) === 1);
  stop();
});
