import { expect, test } from 'bun:test';
import packageJson from '../package.json' with { type: 'json' };
import { readme, withSettings } from '../scripts/readme.ts';

const text = await Bun.file(readme).text();

test('the README lists the settings as they are (`bun run readme` writes them)', () => {
  expect(text).toContain('`KAFKA_BROKERS`');
  expect(withSettings(text)).toBe(text);
});

test('every script and file that the README names exists', async () => {
  const scripts = [...text.matchAll(/bun(?:@[\d.]+)? (?:--env-file=\S+ )?run ([a-z:-]+)/g)].map(
    (match) => match[1],
  );
  expect(scripts.length).toBeGreaterThan(5);
  for (const script of scripts) expect(Object.keys(packageJson.scripts)).toContain(script as string);
  const files = [
    ...text.matchAll(/\]\((?!https?:|#)([^)]+)\)|bun (?:--env-file=\S+ )?((?:bench|scripts)\/\S+\.ts)/g),
  ];
  for (const [, link, program] of files) {
    expect([link ?? program, await Bun.file(`${import.meta.dir}/../${link ?? program}`).exists()]).toEqual([
      link ?? program,
      true,
    ]);
  }
});
