import { expect, test } from 'bun:test';
import { readAlerts } from '../support/alerts.ts';
import { promtool, testPromtool } from '../support/promtool.ts';

test('each alert has a severity, a duration, and a description of what to do', async () => {
  for (const rule of await readAlerts())
    expect(rule).toMatchObject({
      for: expect.stringMatching(/^\d+m$/),
      labels: { severity: expect.stringMatching(/^(critical|warning)$/) },
      annotations: { summary: expect.stringMatching(/.{10}/), description: expect.stringMatching(/.{80}/) },
    });
});

test('each alert has a row in the runbook', async () => {
  const runbook = await Bun.file('docs/operations.md').text();
  const rows = runbook.split('\n').filter((line) => line.startsWith('| `'));
  const described = new Set(rows.flatMap((row) => row.split('|')[1]?.match(/\w+/g) ?? []));
  expect((await readAlerts()).map(({ alert }) => alert).filter((alert) => !described.has(alert))).toEqual([]);
});

testPromtool('promtool accepts the alerts, and they fire exactly when they should', async () => {
  expect(await promtool(['check', 'rules', 'ops/alerts.yml'])).toBe('');
  expect(await promtool(['test', 'rules', 'ops/alerts.test.yml'])).toBe('');
  expect(await promtool(['check', 'config', 'ops/prometheus.yml'])).toBe('');
});
