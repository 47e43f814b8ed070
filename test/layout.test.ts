import { expect, test } from 'bun:test';
import { dirname, join } from 'node:path';

const root = join(import.meta.dir, '..');
const source = join(root, 'src');

/** The folder that a file is in: `views`, or one of `src`. A file of `src` itself is its own. */
const folderOf = (path: string) => path.replace(/^src\//, '').split('/', 1)[0] as string;

/** By folder, the folders that its files import from, type imports included. */
const readImports = async () => {
  const imports = new Map<string, Set<string>>();
  for (const file of new Bun.Glob('{src,views}/**/*.{ts,tsx}').scanSync(root)) {
    const text = await Bun.file(join(root, file)).text();
    for (const [, path] of text.matchAll(/\b(?:from|import) ?\(?'(\.[^']+)'/g)) {
      const imported = join(dirname(file), path as string);
      const [from, to] = [folderOf(file), folderOf(imported)];
      if (from === to || !/^(src|views)\//.test(imported)) continue;
      imports.set(from, (imports.get(from) ?? new Set()).add(to));
    }
  }
  return imports;
};

/** The folders on a way from `folder` back to itself, or undefined. */
const findCycle = (
  imports: Map<string, Set<string>>,
  folder: string,
  way: string[] = [],
): string[] | undefined => {
  if (way.includes(folder)) return folder === way[0] ? [...way, folder] : undefined;
  for (const next of imports.get(folder) ?? []) {
    const cycle = findCycle(imports, next, [...way, folder]);
    if (cycle) return cycle;
  }
  return undefined;
};

test('no folder of src, nor views, imports from itself over others', async () => {
  const imports = await readImports();
  expect(imports.get('main.ts')?.size).toBeGreaterThan(5);
  expect(imports.get('views')?.size).toBeGreaterThan(3);
  const cycles = [...imports.keys()].map((folder) => findCycle(imports, folder)?.join(' → '));
  expect(cycles.filter(Boolean)).toEqual([]);
});

test('the tests’ helpers are in test/support, and what else is there is a test or starts tests', () => {
  const files = [...new Bun.Glob('**/*.ts').scanSync(import.meta.dir)];
  const helpers = files.filter((file) => !file.endsWith('.test.ts') && !file.startsWith('support/'));
  expect(helpers.sort()).toEqual(['first-run.ts', 'run.ts']);
});

test('the folders of the tests are those of what they test', () => {
  const folders = (root: string) =>
    new Set([...new Bun.Glob('*/**/*.ts').scanSync(root)].map((file) => folderOf(file)));
  const tested = [...folders(source), 'page', 'main', 'browser', 'scripts'];
  const ofWhole = ['contract', 'deploy', 'docs', 'faults', 'kubernetes', 'ops', 'support'];
  expect([...folders(import.meta.dir)].filter((name) => ![...tested, ...ofWhole].includes(name))).toEqual([]);
});

test('no line of a comment is longer than 140 characters', async () => {
  const long: string[] = [];
  for (const file of new Bun.Glob('{src,views,test,packages,scripts,bench}/**/*.{ts,tsx}').scanSync(root)) {
    if (file.includes('node_modules')) continue;
    const lines = (await Bun.file(join(root, file)).text()).split('\n');
    for (const [at, line] of lines.entries())
      if (line.length > 140 && /^\s*(\*|\/\*|\/\/)/.test(line)) long.push(`${file}:${at + 1}`);
  }
  expect(long).toEqual([]);
});
