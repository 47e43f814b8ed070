import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Glob } from 'bun';
import packageJson from '../../package.json' with { type: 'json' };
import { readme, withSettings } from '../../scripts/readme.ts';

const text = await Bun.file(readme).text();

test('the README lists the settings as they are (`bun run readme` writes them)', () => {
  expect(text).toContain('`KAFKA_BROKERS`');
  expect(withSettings(text)).toBe(text);
});

test('every script and program that the README runs exists', async () => {
  const scripts = [...text.matchAll(/bun(?:@[\d.]+)? (?:--env-file=\S+ )?run ([a-z:-]+)/g)].map(
    (match) => match[1],
  );
  expect(scripts.length).toBeGreaterThan(5);
  for (const script of scripts) expect(Object.keys(packageJson.scripts)).toContain(script as string);
  const programs = [...text.matchAll(/bun (?:--env-file=\S+ )?((?:bench|scripts)\/\S+\.ts)/g)];
  expect(programs).not.toBeEmpty();
  for (const [, program] of programs) {
    expect([program, existsSync(join(import.meta.dir, '../..', program as string))]).toEqual([program, true]);
  }
});

test('every link of every Markdown file leads to a file, and to a heading that is there', async () => {
  const root = join(import.meta.dir, '../..');
  const anchorsOf = (markdown: string) =>
    [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} -]/gu, '')
        .replaceAll(' ', '-'),
    );
  const files = [...new Glob('*.md').scanSync(root), ...new Glob('docs/*.md').scanSync(root)];
  expect(files.length).toBeGreaterThan(5);
  const broken: string[] = [];
  for (const file of files) {
    const markdown = await Bun.file(`${root}/${file}`).text();
    for (const [, link = ''] of markdown.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = link.split('#');
      const target = path ? join(root, dirname(file), path) : join(root, file);
      const isBroken =
        !existsSync(target) ||
        (anchor !== undefined && !anchorsOf(await Bun.file(target).text()).includes(anchor));
      if (isBroken) broken.push(`${file}: ${link}`);
    }
  }
  expect(broken).toEqual([]);
});

test('every test that SECURITY.md names exists', async () => {
  const root = join(import.meta.dir, '../..');
  const security = await Bun.file(join(root, 'SECURITY.md')).text();
  const [, section = ''] = security.split('## Attacks, and the tests that show what happens');
  const [, , ...lines] = section.split('\n## ')[0]?.match(/^\|.*$/gm) ?? [];
  const rows = [...security.matchAll(/^\|.*\| `(\S+\.test\.ts)`: (.+) \|$/gm)];
  expect(rows.map(([row]) => row)).toEqual(lines);
  expect(rows.length).toBeGreaterThan(10);
  for (const [, file = '', name = ''] of rows) {
    const path = join(root, file);
    const source = existsSync(path) ? await Bun.file(path).text() : '';
    const isNamed = [`'${name}'`, `"${name}"`, `\`${name}\``].some((literal) => source.includes(literal));
    expect([file, name, isNamed]).toEqual([file, name, true]);
  }
});
