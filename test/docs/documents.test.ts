import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Glob } from 'bun';
import { settings } from '../../src/config/settings.ts';
import {
  documents,
  knownOptions,
  missingFiles,
  missingOptions,
  missingScripts,
  readDocument,
  root,
  spansOf,
} from '../support/documents.ts';

const texts = await Promise.all(documents.map(async (file) => [file, await readDocument(file)] as const));
/** A changelog also names what is gone. */
const current = texts.filter(([file]) => file !== 'CHANGELOG.md');

const faults = (of: (markdown: string, folder: string) => string[]) =>
  current.flatMap(([file, text]) => of(text, file.replace(/[^/]+$/, '')).map((fault) => `${file}: ${fault}`));

test('the documents name no file or folder that does not exist', () => {
  expect(
    missingFiles('`src/nothing.ts`, `nothing.ts`, `src/nothing/`; `producer.ts`, `src/main.ts`, `src/`'),
  ).toEqual(['src/nothing.ts', 'nothing.ts', 'src/nothing/']);
  expect(current.length).toBeGreaterThan(8);
  expect(faults(missingFiles)).toEqual([]);
});

test('the documents run no script that package.json does not have', () => {
  expect(
    missingScripts('`bun run nothing`\n```sh\nnpx --yes bun@1.4.5 run nothing:else\n```\n`bun run test`'),
  ).toEqual(['nothing:else', 'nothing']);
  expect(faults(missingScripts)).toEqual([]);
});

test('the documents give commands no option that they do not have', async () => {
  const known = await knownOptions();
  expect(
    missingOptions('`bun run replay --nothing --from 2h --fix`, `bun run producer --rate 1`', known),
  ).toEqual(['scripts/replay.ts --nothing', 'scripts/replay.ts --fix']);
  expect(faults((text) => missingOptions(text, known))).toEqual([]);
}, 120_000);

const settingPrefix =
  /^(KAFKA|DATABASE|REDIS|CACHE|WARMUP|METRICS|ORDER|CONSOLE|LIVE|RATE|TRUSTED|LOG|STOP|DATA|BASE|PUBLIC|ALLOWED)_[A-Z_]+$/;
/** Of the scripts and the tests, not of the program. */
const otherVariables = ['KAFKA_LIBS', 'REDIS_SERVER', 'REDIS_SENTINEL_URL'];

test('the documents name no setting that does not exist', () => {
  const variables = new Set([...Object.values(settings).map(({ variable }) => variable), ...otherVariables]);
  const unknown = (text: string) =>
    [...text.matchAll(/`([A-Z_]+)(?:=[^`]*)?`/g)]
      .map(([, variable = '']) => variable)
      .filter(
        (variable) => settingPrefix.test(variable) && !variable.endsWith('_') && !variables.has(variable),
      );
  expect(unknown('`KAFKA_NOTHING`, `CACHE_NOTHING=1`, `PORT`, `KAFKA_TOPIC`')).toEqual([
    'KAFKA_NOTHING',
    'CACHE_NOTHING',
  ]);
  expect(faults(unknown)).toEqual([]);
});

test('the documents name no metric and no alert that does not exist', async () => {
  const known = `${await readDocument('docs/metrics.md')}\n${await Bun.file(`${root}/ops/alerts.yml`).text()}`;
  const unknown = (text: string) =>
    [...text.matchAll(/`((?:orders_[a-z_]+|http_request[a-z_]+|Order[A-Z][A-Za-z]+))(?:\{[^`]*)?`/g)]
      .map(([, name = '']) => name)
      .filter((name) => name !== 'orders_dlq' && !known.includes(name));
  expect(unknown('`orders_nothing_total{a="b"}`, `OrderNothing`, `orders_stored_total`')).toEqual([
    'orders_nothing_total',
    'OrderNothing',
  ]);
  expect(faults(unknown)).toEqual([]);
});

const anchorsOf = (markdown: string) =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );

test('every link leads to a file, and to a heading in it', async () => {
  const broken: string[] = [];
  for (const [file, markdown] of texts) {
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
  const security = await readDocument('SECURITY.md');
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

const isCommand = (span: string) =>
  /^(bun|curl|docker|rm|chmod|kafka-|kubectl|select|ALTER|ulimit|\+)/.test(span);

test.each(['docs/troubleshooting.md', 'docs/operations.md'])(
  'the messages that %s quotes are the program’s',
  async (file) => {
    const folders = ['src', 'packages/kafka-broker/src'];
    const files = folders.flatMap((cwd) => [
      ...new Glob('**/*.ts').scanSync({ cwd: join(root, cwd), absolute: true }),
    ]);
    const program = (await Promise.all(files.map((path) => Bun.file(path).text()))).join('\n');
    // The program puts its messages together: only what stands between its variables is looked for.
    const phrases = spansOf(await readDocument(file))
      .filter((span) => !isCommand(span))
      .flatMap((text) =>
        text.split(/…|\d+|: |, or |\b(?:PORT|KAFKA_BROKERS|DATABASE_URL|PostgreSQL|PANIC)\b/),
      )
      .map((text) => text.replace(/^\W+|\W+$/g, ''))
      .filter((text) => text.includes(' '));
    expect(phrases).not.toBeEmpty();
    expect(phrases.filter((phrase) => !program.includes(phrase))).toEqual([]);
  },
);
