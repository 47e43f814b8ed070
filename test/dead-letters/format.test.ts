import { expect, test } from 'bun:test';
import { escapeBytes, escapeLine, escapeText } from '../../src/cli/escape-text.ts';
import { type Filter, matches } from '../../src/dead-letters/filter.ts';
import { applyFix, readFix } from '../../src/dead-letters/fix.ts';
import { letterToJson } from '../../src/dead-letters/format/json.ts';
import { list } from '../../src/dead-letters/format/list.ts';
import { prettyJson } from '../../src/dead-letters/format/pretty-json.ts';
import { letterToText } from '../../src/dead-letters/format/show.ts';
import type { Letter } from '../../src/dead-letters/letter.ts';
import { readCommand } from '../../src/dead-letters/options.ts';
import { type LetterOutcome, redrive } from '../../src/dead-letters/redrive.ts';
import { describeFaults } from '../../src/order/faults.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { buildOrder } from '../support/build-order.ts';
import { parser } from '../support/order-parser.ts';

const letterOf = (more: Partial<Letter> = {}): Letter => ({
  partition: 3,
  offset: '17',
  time: Date.UTC(2026, 0, 31, 8),
  timestamp: `${Date.UTC(2026, 0, 31, 8)}`,
  key: Buffer.from('an-order-uid'),
  value: Buffer.from('{"order_uid":"an-order-uid"}'),
  headers: {},
  from: { topic: 'orders', partition: '5', offset: '42' },
  stage: 'validate',
  error: 'ValidationError',
  reason: 'track_number is missing',
  redrives: 0,
  isRedriven: false,
  isDiscarded: false,
  ...more,
});

const hostile = '\u001b[2J\u0007\u009b31m\r\u202e\u200b\u2028\u007f';

/** Whether it has control or invisible characters. */
const isUnsafe = (text: string) => /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text);

test('control characters and invisible characters are escaped', () => {
  expect(escapeLine(`a\n\t${hostile}ж`)).toBe(
    'a\\u000a\\u0009\\u001b[2J\\u0007\\u009b31m\\u000d\\u202e\\u200b\\u2028\\u007fж',
  );
  expect(escapeText('a\n\tb\r')).toBe('a\n\tb\\u000d');
  expect(escapeBytes(Buffer.from([0xff, 0x1b, 0x41, 0x80]))).toBe('\\xff\\x1bA\\x80');
  const letter = letterOf({
    key: Buffer.from(hostile),
    value: Buffer.from(`${hostile}{`),
    reason: hostile,
    stage: hostile,
    from: { topic: hostile, partition: hostile, offset: hostile },
    headers: { [hostile]: Buffer.from(hostile), two: [Buffer.from([0x9b]), Buffer.from(hostile)] },
  });
  expect(isUnsafe(letterToText(letter, 'dlq'))).toBe(false);
  expect(isUnsafe(letterToJson(letter))).toBe(false);
  expect(JSON.parse(letterToJson(letter))).toMatchObject({ value: `${hostile}{`, reason: hostile });
});

test('bytes that are not UTF-8 are base64 in JSON, and null stays null', () => {
  const letter = letterOf({ key: null, value: Buffer.from([0xff]), headers: { none: null as never } });
  expect(JSON.parse(letterToJson(letter))).toMatchObject({
    letter: '3/17',
    key: null,
    value: { base64: '/w==' },
    headers: { none: null },
  });
});

test('a value is indented, and its numbers and strings are unchanged', () => {
  const text = '{"a":[],"n":12345678901234567890,"a":[1,{"b":"{,\\"}"}],"c":{}}';
  const pretty = prettyJson(text) ?? '';
  expect(pretty.split('\n')).toContain('  "n": 12345678901234567890,');
  expect(pretty.replace(/\n */g, '').replaceAll('": ', '":')).toBe(text);
  expect(prettyJson('{"a":1')).toBeUndefined();
  expect((prettyJson('['.repeat(5000) + ']'.repeat(5000)) ?? '').length).toBeLessThan(2_000_000);
});

test('each filter selects what it names', () => {
  const is = (filter: Filter, more: Partial<Letter> = {}) => matches(letterOf(more), filter);
  expect([is({}), is({ stage: 'validate' }), is({ stage: 'parse' })]).toEqual([true, true, false]);
  expect([is({ reason: 'TRACK_' }), is({ reason: 'validationE' }), is({ reason: 'city' })]).toEqual([
    true,
    true,
    false,
  ]);
  const at = Date.UTC(2026, 0, 31, 8);
  expect([is({ since: at }), is({ since: at + 1 }), is({ until: at + 1 }), is({ until: at })]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect([is({ uid: 'an-order-uid' }), is({ uid: 'an-order-uid' }, { key: null })]).toEqual([true, true]);
  const marked = Buffer.from('\ufeff{"order_uid":"an-order-uid"}');
  expect(is({ uid: 'an-order-uid' }, { key: null, value: marked })).toBe(true);
  expect([is({ uid: 'an-order' }), is({ uid: 'x' }, { key: null, value: null })]).toEqual([false, false]);
});

const givenOf = (...args: string[]) => (readCommand(['list', ...args]) as { given: Filter }).given;

test('a time is relative to now, or RFC 3339', () => {
  expect(Math.abs((givenOf('--since', '2h').since ?? 0) - (Date.now() - 7_200_000))).toBeLessThan(1_000);
  expect(givenOf('--until', '2026-01-31T10:00:00+02:00').until).toBe(Date.UTC(2026, 0, 31, 8));
});

test.each([
  [['lost'], '"lost" is not a command'],
  [['list', '--colour'], '"--colour" is not an option; these are: --stage,'],
  [['list', 'more'], '"more" is not an option'],
  [['list', '--stage', 'later'], '--stage holds "later"; allowed: parse, validate, store'],
  [['list', '--since', 'yesterday'], '--since holds "yesterday"; allowed: a time ago'],
  [['list', '--limit', '0'], '--limit holds "0"; allowed: an integer from 1'],
  [['list', '--limit'], '--limit has no value'],
  [['list', '--dry-run'], '"--dry-run" is not an option'],
  [['show'], 'show names no letter'],
  [['show', '3-17'], 'show names "3-17"; allowed: one letter'],
  [['show', '3/17', '3/18'], '"3/18" is one argument too many; allowed: 1 beside the options'],
  [['redrive', '--fix', 'no/such/file'], '--fix holds "no/such/file"; allowed: a JSON Patch'],
  [['redrive', '--fix', '[1'], '--fix is not JSON'],
  [['redrive', '--fix', '[]'], '--fix is not a JSON Patch'],
  [['redrive', '--fix', '[{"op":"remove","path":"/a"},{"op":"replac","path":"/a"}]'], 'in place 2'],
  [['redrive', '--fix', '[{"op":"add","path":"a","value":1}]'], 'in place 1'],
])('%p is rejected with one line', (args, message) => {
  const read = () => readCommand(args);
  expect(read).toThrow(message);
  expect(read).not.toThrow('\n');
});

test('each command has a help with all its options', () => {
  for (const name of ['list', 'show', 'redrive']) {
    const command = readCommand([name, '--help']);
    expect(command).toMatchObject({ help: expect.stringContaining(`dead-letters ${name}`) });
  }
  expect(readCommand(['redrive', '-h'])).toMatchObject({ help: expect.stringContaining('--dry-run') });
  expect(readCommand([])).toEqual(readCommand(['--help']));
});

test('a fix changes the value, or returns why it cannot', () => {
  const fix = (patch: object[], value: string | null) => {
    const result = applyFix(value === null ? null : Buffer.from(value), readFix(JSON.stringify(patch)));
    return 'fixed' in result ? String(result.fixed) : result.reason;
  };
  const replace = { op: 'replace', path: '/a/b', value: 2 };
  expect(fix([replace, { op: 'remove', path: '/c' }], '{"a":{"b":1},"c":0}')).toBe('{"a":{"b":2}}');
  expect(fix([replace], '{"a":{}}')).toBe('the patch does not fit: replace /a/b: the path does not exist');
  expect(fix([{ op: 'test', path: '/a', value: 1 }, replace], '{"a":{"b":1}}')).toContain(
    'test /a: the value differs',
  );
  // What the patch does not change stays as it was written, also where it is moved or copied.
  const numbers = '[9223372036854775807,1e-400,1e400,0.12345678901234567890]';
  expect(fix([replace], `{"a":{"b":1},"c":${numbers}}`)).toBe(`{"a":{"b":2},"c":${numbers}}`);
  expect(
    fix(
      [
        { op: 'move', from: '/c', path: '/d' },
        { op: 'copy', from: '/d', path: '/e' },
      ],
      `{"c":${numbers}}`,
    ),
  ).toBe(`{"d":${numbers},"e":${numbers}}`);
  expect(fix([replace], '{"a":{"b":9223372036854775807}}')).toBe('{"a":{"b":2}}');
  expect(fix([{ op: 'test', path: '/c', value: 1 }, replace], '{"a":{"b":1},"c":1.0}')).toBe(
    '{"a":{"b":2},"c":1}',
  );
  for (const value of ['{', null]) expect(fix([replace], value)).toContain('is not JSON');
});

const listed = async (letters: Letter[], options: Partial<Parameters<typeof list>[1]> = {}) => {
  const lines: string[] = [];
  async function* batches() {
    for (const letter of letters) yield [letter];
  }
  const write = async (line: string) => void lines.push(line);
  await list(
    batches(),
    { all: false, discarded: false, json: false, limit: undefined, ...options },
    'dlq',
    write,
  );
  return lines;
};

test('the newest letters come first, all are counted by reason, and redriven ones are omitted', async () => {
  const letters = [
    ...Array.from({ length: 2_500 }, (_, n) =>
      letterOf({ offset: String(n), time: (n * 7919) % 2_500, reason: `items.${n}.name must be x, is ${n}` }),
    ),
    letterOf({ stage: 'parse', error: 'ParseError', reason: 'the message is empty', time: -1, key: null }),
    letterOf({ isRedriven: true, time: 9_999 }),
  ];
  const lines = await listed(letters, { limit: 2 });
  expect(lines[1]).toContain(`3/${letters.findIndex(({ time }) => time === 2_499)} `);
  expect(lines.slice(3)).toEqual([
    '',
    '2501 letters in dlq (the newest 2 are shown, --limit shows more; 1 more was sent again, --all shows them)',
    '   2500  validate  ValidationError: items.*.name must be x',
    '      1  parse     ParseError: the message is empty',
  ]);
  expect((await listed(letters, { limit: 1, all: true }))[1]).toContain('(sent again)');
  const json = await listed(letters, { json: true });
  expect(json).toHaveLength(2_501);
  expect(JSON.parse(json[0] ?? '')).toMatchObject({ letter: '3/0' });
  const newest = await listed(letters, { json: true, limit: 2 });
  expect(newest.map((line) => Date.parse(JSON.parse(line).time))).toEqual([2_499, 2_498]);
});

test('letters whose reasons differ only by the item, a size or offsets are one group', async () => {
  const batch = (from: number) => `a batch cannot be read, offsets ${from} to ${from + 9}: it is not gzip`;
  const lines = await listed([
    letterOf({ reason: 'items.0 must be a JSON object, is null' }),
    letterOf({ reason: 'items.12 must be a JSON object, is a number' }),
    letterOf({
      stage: 'parse',
      error: 'ParseError',
      reason: 'the message has 5300034 bytes, more than 4194304',
    }),
    letterOf({
      stage: 'parse',
      error: 'ParseError',
      reason: 'the message has 4200000 bytes, more than 4194304',
    }),
    letterOf({ stage: 'parse', error: 'UnreadableBatch', reason: batch(0) }),
    letterOf({ stage: 'parse', error: 'UnreadableBatch', reason: batch(10) }),
    letterOf({ isDiscarded: true }),
  ]);
  expect(lines.slice(lines.indexOf('') + 1)).toEqual([
    '6 letters in dlq (1 was discarded, --discarded shows them)',
    '      2  validate  ValidationError: items.* must be a JSON object',
    '      2  parse     ParseError: the message has * bytes, more than 4194304',
    '      2  parse     UnreadableBatch: a batch cannot be read, offsets *: it is not gzip',
  ]);
});

test('letters are grouped by each of their faults, and old letters by their one', async () => {
  const lines = await listed([
    letterOf({
      reason: describeFaults([
        'payment.currency is not one of USD, EUR, RUB',
        'items.0.sale must be an integer from 0 to 100, is 101',
        'items.1.sale must be an integer from 0 to 100, is 102',
        'date_created must be at most 1 h ahead, is 3 h ahead',
      ]),
    }),
    letterOf({ reason: describeFaults(Array.from({ length: 30 }, (_, n) => `items.${n}.rid is missing`)) }),
    letterOf({ reason: 'items.7.sale must be an integer from 0 to 100, is -1' }),
    letterOf({ stage: 'store', error: 'PostgresError', reason: 'value too long; really' }),
  ]);
  expect(lines.slice(lines.indexOf('') + 1)).toEqual([
    '4 letters in dlq (1 with several faults, counted for each)',
    '      2  validate  ValidationError: items.*.sale must be an integer from 0 to 100',
    '      1  validate  ValidationError: payment.currency is not one of USD, EUR, RUB',
    '      1  validate  ValidationError: date_created must be at most 1 h ahead',
    '      1  validate  ValidationError: items.*.rid is missing',
    '      1  store     PostgresError: value too long; really',
  ]);
});

const redriven = async (letters: Letter[], options: Partial<Parameters<typeof redrive>[1]> = {}) => {
  const sent: { key: Buffer | null; value: Buffer | null }[] = [];
  const reported: LetterOutcome[] = [];
  async function* batches() {
    for (let at = 0; at < letters.length; at += 3) yield letters.slice(at, at + 3);
  }
  await redrive(batches(), {
    parser,
    topic: 'orders',
    async send(ready) {
      sent.push(...ready);
      return new Map();
    },
    report: async (outcomes) => void reported.push(...outcomes),
    ...options,
  });
  const outcomes = reported.map(({ letter, reason }) => `${letter.offset} ${reason ?? 'sent'}`);
  return { keys: sent.map(({ key }) => String(key)), outcomes };
};

const ofOrder = (offset: string, more: Partial<Letter> = {}) =>
  letterOf({
    offset,
    value: Buffer.from(JSON.stringify(buildOrder({ order_uid: `uid-of-${offset}-x` }))),
    ...more,
  });

test('a limit counts sent letters, not skipped ones, and redriven letters are ignored', async () => {
  const letters = [
    letterOf({ offset: '0' }),
    ofOrder('1', { isRedriven: true }),
    ...['2', '3', '4', '5'].map((n) => ofOrder(n)),
  ];
  expect((await redriven(letters, { limit: 2 })).outcomes).toEqual([
    expect.stringMatching(/^0 it is not a valid order: track_number is missing; entry is missing; /),
    '2 sent',
    '3 sent',
  ]);
  expect((await redriven(letters)).outcomes).toHaveLength(5);
});

test('the longest reason is shown whole', () => {
  const reason = describeFaults(Array.from({ length: 20 }, (_, n) => `field_${n} ${'x'.repeat(180)}`));
  expect(reason.length).toBeGreaterThan(3_500);
  expect(letterToText(letterOf({ reason }), 'dlq')).toContain(`: ${reason}\n`);
});

test('one redrive mends all the faults that its letter names', async () => {
  const spoiled = ofOrder('1');
  const order = JSON.parse(String(spoiled.value));
  spoiled.value = Buffer.from(
    JSON.stringify({ ...order, sm_id: -1, payment: { ...order.payment, currency: 'usd' } }),
  );
  expect((await redriven([spoiled])).outcomes).toEqual([
    '1 it is not a valid order: payment.currency is not one of USD, EUR, RUB; sm_id must be an integer from 0 to 9007199254740991, is -1',
  ]);
  const fix = readFix(
    '[{"op":"replace","path":"/payment/currency","value":"USD"},{"op":"replace","path":"/sm_id","value":1}]',
  );
  expect((await redriven([spoiled], { fix })).outcomes).toEqual(['1 sent']);
});

test('a redrive checks by the configured rules', async () => {
  const letter = letterOf({ value: Buffer.from(JSON.stringify(buildOrder({ locale: 'kk' }))) });
  expect((await redriven([letter])).outcomes).toEqual([
    '17 it is not a valid order: locale is not one of en, ru',
  ]);
  const wider = createOrderParser({ ...defaultRules, locales: ['kk'] });
  expect((await redriven([letter], { parser: wider })).outcomes).toEqual(['17 sent']);
});

test('a key is unchanged, unless a fix may have changed the uid', async () => {
  const letters = [ofOrder('1', { key: Buffer.from('another') }), ofOrder('2', { key: null })];
  expect((await redriven(letters)).keys).toEqual(['another', 'null']);
  const fix = readFix('[{"op":"test","path":"/locale","value":"ru"}]');
  expect((await redriven(letters, { fix })).keys).toEqual(['uid-of-1-x', 'uid-of-2-x']);
});

test('a letter whose message Kafka refuses is skipped, and the others count as sent', async () => {
  const letters = ['1', '2', '3'].map((n) => ofOrder(n));
  const send = async () => new Map([[letters[1] as Letter, 'too large']]);
  expect((await redriven(letters, { send })).outcomes).toEqual(['1 sent', '2 too large', '3 sent']);
});
