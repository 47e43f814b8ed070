import { expect, test } from 'bun:test';
import { configuration, withSettings } from '../../scripts/docs.ts';
import { settings } from '../../src/config/settings.ts';
import { readDocument } from '../support/documents.ts';

const readme = await readDocument('README.md');

test('the tables of settings are up to date (`bun run docs` writes them)', async () => {
  expect(readme).toContain('| `KAFKA_BROKERS` |');
  expect(withSettings(readme)).toBe(readme);
  const written = await readDocument('docs/configuration.md');
  for (const { variable } of Object.values(settings)) expect(written).toContain(`| \`${variable}\` |`);
  expect(configuration()).toBe(written);
});

test('the README has the commands that CI runs on a fresh clone', () => {
  expect(readme).toContain('\nnpx --yes bun@1.4.5 start\n');
  expect(readme).toContain('`npx --yes bun@1.4.5 run test`');
});

test('the README can be read in a few minutes', () => {
  expect(readme.split('\n').length).toBeLessThanOrEqual(140);
});
