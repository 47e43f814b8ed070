import { heapStats } from 'bun:jsc';
import { expect, setDefaultTimeout, test } from 'bun:test';
import { applyFix, readFix } from '../../src/dead-letters/fix.ts';
import { letterToJson } from '../../src/dead-letters/format/json.ts';
import { list } from '../../src/dead-letters/format/list.ts';
import { prettyJson } from '../../src/dead-letters/format/pretty-json.ts';
import { letterToText } from '../../src/dead-letters/format/show.ts';
import type { Letter } from '../../src/dead-letters/letter.ts';
import { createDeadLetters } from '../../src/ingest/dead-letter.ts';
import { buildOrder } from '../support/build-order.ts';
import { brokers, until } from '../support/kafka-and-postgres.ts';
import { parseOrder } from '../support/order-parser.ts';
import { openPipeline } from '../support/pipeline.ts';
import { startProgram } from '../support/program.ts';

setDefaultTimeout(180_000);

const letterOf = (value: Buffer | string | null, more: Partial<Letter> = {}): Letter => ({
  partition: 0,
  offset: '1',
  time: 1_700_000_000_000,
  timestamp: '1700000000000',
  key: Buffer.from('key'),
  value: typeof value === 'string' ? Buffer.from(value) : value,
  headers: {},
  from: { topic: 'orders', partition: '0', offset: '1' },
  stage: 'validate',
  error: 'ValidationError',
  reason: 'locale is missing',
  redrives: 0,
  isRedriven: false,
  isDiscarded: false,
  ...more,
});

const nested = (depth: number) => `{"locale":"de","deep":${'['.repeat(depth)}${']'.repeat(depth)}}`;
const order = JSON.stringify(buildOrder());

/** Values that an attacker, or an unusual library, may send. */
const values: Record<string, Buffer> = Object.fromEntries(
  Object.entries({
    'nested 100,000 deep': nested(100_000),
    '800 kB of brackets': '['.repeat(400_000) + ']'.repeat(400_000),
    '300,000 keys': `{${Array.from({ length: 300_000 }, (_, n) => `"k${n}":1`)}}`,
    'a million empty lists': `[${'[],'.repeat(1_000_000)}[]]`,
    'a text of 10 MB': JSON.stringify('x'.repeat(10_000_000)),
    'a text of 4 MB, all escaped': `"${'\\u0000'.repeat(700_000)}"`,
    'a number of 3 MB': '9'.repeat(3_000_000),
    'numbers beyond all': '{"a":1e400,"b":-1e400,"c":1e-400,"d":0.1e1}',
    'names of prototypes':
      '{"__proto__":{"locale":"en"},"constructor":{"prototype":{"x":1}},"hasOwnProperty":1}',
    'the same key often': `{${Array.from({ length: 100_000 }, () => '"locale":"de"')}}`,
    'lone surrogates': '{"a":"\\ud800","b":"\\udc00\\ud800"}',
    NUL: '{"a":"\\u0000"}',
    'NUL bytes': '\0'.repeat(100_000),
    'a mark of byte order': `\ufeff${order}`,
    'no UTF-8': Buffer.alloc(2_000_000, 0xff),
    'UTF-16': Buffer.from(order, 'utf16le'),
    'blanks, 4 MB': ' '.repeat(4_000_000),
    'blanks around an order': `${' '.repeat(2_000_000)}${order}${'\n'.repeat(2_000_000)}`,
    'a text that never ends': `"${'\\"'.repeat(1_000_000)}`,
    'a line of escapes for a terminal': '\u001b[2J\u0007\u009b31m\r\u202e\u200b'.repeat(100_000),
  }).map(([name, value]) => [name, Buffer.from(value)]),
);

for (const [name, value] of Object.entries(values))
  test(`shown, listed, parsed and patched within bounds: ${name}`, async () => {
    const begun = process.cpuUsage();
    const text = letterToText(letterOf(value), 'dlq');
    expect(text.length).toBeLessThan(70_000);
    expect(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}]/u.test(text)).toBe(false);
    expect(letterToJson(letterOf(value)).length).toBeLessThan(8 * value.length + 1_000);
    const lines: string[] = [];
    async function* letters() {
      yield [letterOf(value)];
    }
    await list(
      letters(),
      { all: false, discarded: false, json: false, limit: 10 },
      'dlq',
      async (line) => void lines.push(line),
    );
    expect(lines.join('').length).toBeLessThan(2_000);
    expect(parseOrder(value)).toBeObject();
    for (const operation of ['replace', 'add', 'copy', 'test', 'remove']) {
      const patch = [{ op: operation, path: '/locale', from: '/deep', value: 'en' }];
      expect(applyFix(value, readFix(JSON.stringify(patch)))).toBeObject();
    }
    // Of the processor: other tests may keep it busy.
    expect(process.cpuUsage(begun).user / 1_000).toBeLessThan(10_000);
  });

test('any JSON is indented, up to the requested length', () => {
  const text = JSON.stringify({ long: 'x"\\'.repeat(1_500_000), more: [1, [], {}] });
  expect(prettyJson(text)).toBe(JSON.stringify(JSON.parse(text), null, 2));
  expect((prettyJson(nested(100_000), 1_000) ?? '').length).toBeLessThan(1_200);
});

test('a key, a reason or a header of 1 MB, and 100,000 headers, are cut with a note', async () => {
  const large = Buffer.from('ж'.repeat(500_000));
  const headers = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`h${n}`, large]));
  const text = letterToText(letterOf('{}', { key: large, reason: String(large), headers }), String(large));
  expect(text.length).toBeLessThan(250_000);
  expect(text).toContain('\nHeaders   99900 more, see --json\n');
  expect(text).toMatch(/\nKey {7}ж+… \(cut after 2000 characters, see --json\)\n/);
  const lines: string[] = [];
  Bun.gc(true);
  const before = heapStats().heapSize;
  let held = 0;
  async function* letters() {
    for (let n = 0; n < 300; n++)
      yield [letterOf('{}', { key: large, stage: String(large), reason: `${n}${large}`, offset: `${n}` })];
    Bun.gc(true);
    held = heapStats().heapSize - before;
  }
  await list(
    letters(),
    { all: false, discarded: false, json: false, limit: 10 },
    'dlq',
    async (line) => void lines.push(line),
  );
  expect(lines.join('').length).toBeLessThan(20_000);
  // Of 300 letters with 2.5 MB of text each, what the table shows.
  expect(held).toBeLessThan(150_000_000);
});

test('a patch that names a prototype is rejected', () => {
  for (const path of ['/__proto__/polluted', '/constructor/prototype/polluted', '/a/prototype'])
    for (const operation of [
      { op: 'add', path, value: 1 },
      { op: 'copy', from: path, path: '/a' },
    ])
      expect(() => readFix(JSON.stringify([operation]))).toThrow('none names a prototype');
  expect(readFix('[{"op":"add","path":"/prototypes","value":1}]')).toHaveLength(1);
});

test('a patch that keeps doubling the value is rejected', () => {
  const patch = [
    { op: 'add', path: '/a', value: ['x'.repeat(1_000)] },
    ...Array.from({ length: 40 }, () => ({ op: 'copy', from: '/a', path: '/a/-' })),
  ];
  expect(applyFix(Buffer.from('{}'), readFix(JSON.stringify(patch)))).toEqual({
    reason: 'patched, the value has more than 16777216 characters',
  });
});

test('hostile letters between good ones are listed and skipped, and the good ones are sent', async () => {
  await using pipeline = await openPipeline();
  const letters = createDeadLetters({
    kafka: pipeline.kafka,
    topic: pipeline.deadLetterTopic,
    checkTopic: async () => {},
  });
  await letters.connect();
  const good = Array.from({ length: 3 }, () => buildOrder({ order_uid: crypto.randomUUID() }));
  const messages = [
    ...Object.values(values).filter(({ length }) => length < 5_000_000),
    ...good.map((one) => Buffer.from(JSON.stringify({ ...one, locale: 'de' }))),
  ];
  await letters.send(
    messages.map((value, n) => ({
      message: {
        topic: pipeline.topic,
        partition: 0,
        offset: String(n),
        key: Buffer.alloc(n === 0 ? 1_000_000 : 10, 'k'),
        timestamp: n === 3 ? '9007199254740993' : '1700000000000',
        headers: { '\u001b[2J\n': '\u009b31m' },
        value,
      },
      stage: 'validate' as const,
      error: 'ValidationError',
      reason: 'locale is missing',
    })),
  );
  await letters.disconnect();
  const run = async (...args: string[]) =>
    startProgram(
      {
        KAFKA_BROKERS: (await brokers()).join(),
        KAFKA_TOPIC: pipeline.topic,
        KAFKA_DLQ_TOPIC: pipeline.deadLetterTopic,
      },
      ['scripts/dead-letters.ts', ...args],
    ).ended();
  const patch = JSON.stringify([{ op: 'replace', path: '/locale', value: 'en' }]);
  const { output, errors, status } = await run('redrive', '--fix', patch);
  // Two of the strange ones are orders, once they are patched.
  const skipped = messages.length - good.length - 2;
  expect(errors).toEndWith(`${messages.length - skipped} sent to ${pipeline.topic}, ${skipped} skipped\n`);
  expect(output.split('\n')).toHaveLength(skipped + 1);
  expect(output).toContain('skipped: the value is nested more than 1000 levels deep');
  expect(status).toBe(1);
  pipeline.join();
  await until(async () => (await pipeline.store.findAll(good.map((one) => one.order_uid))).size === 3);
});
