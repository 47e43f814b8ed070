/**
 * Which files the producer reads, and what it says of the others. The files in `field/` have the form in which other programs
 * write theirs.
 */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createSplitter } from '../../src/producer/documents.ts';
import { openFile } from '../../src/producer/file.ts';
import { buildOrder } from '../support/build-order.ts';

setDefaultTimeout(180_000);

const folder = mkdtempSync(join(tmpdir(), 'producer-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const field = (name: string) => join(import.meta.dir, 'field', name);
let files = 0;
const fileOf = async (content: string | Uint8Array) => {
  const path = join(folder, `${++files}`);
  await Bun.write(path, content);
  return path;
};
const messagesOf = async (path: string) => (await Array.fromAsync(openFile(path).messages())).flat();
const valuesOf = async (content: string | Uint8Array) =>
  (await messagesOf(await fileOf(content))).map(({ value }) => String(value));
const check = (path: string, count = Number.POSITIVE_INFINITY) =>
  openFile(path).check(count, new AbortController().signal);

const uid = '"order_uid":"a-uid-of-a-test"';
const one = `{${uid}}`;
const other = '{"a":"}\\"[{\\\\","b":{"c":[[],{}]}}';

test('a list of orders is one message for each, several documents too, and each has its order_uid as key', async () => {
  const keysOf = async (name: string) => (await messagesOf(field(name))).map(({ key }) => key);
  expect(await keysOf('array-of-orders.json')).toEqual([
    'field-array-0000',
    'field-array-0001',
    'field-array-0002',
  ]);
  expect(await keysOf('two-pretty-documents.json')).toEqual(['field-two-00000001', 'field-two-00000002']);
  expect(await keysOf('pretty-with-bom.json')).toEqual(['field-pretty-0001']);
  const [{ value } = { value: null }] = await messagesOf(field('pretty-with-bom.json'));
  const text = await Bun.file(field('pretty-with-bom.json')).bytes();
  expect(value).toEqual(Buffer.from(text.subarray(3)).subarray(0, value?.length));
  expect(JSON.parse(String(value))).toMatchObject({ order_uid: 'field-pretty-0001' });
});

test.each([
  ['NDJSON', `${one}\n${other}\n`, [one, other]],
  ['NDJSON with blank lines, spaces and \\r\\n', `\n ${one} \r\n\r\n\t${other}`, [one, other]],
  ['documents without a separator', `${one}${other}`, [one, other]],
  ['a list', `[${one} , ${other}]\n`, [one, other]],
  ['lists and documents', `[]\n[${one}]${other}[ ${one}]`, [one, other, one]],
  ['a byte order mark', `\ufeff[${one}]`, [one]],
  [
    'files that were joined, each with a byte order mark',
    `\ufeff${one}\r\n\ufeff[${other}]\ufeff`,
    [one, other],
  ],
  ['an object without an order_uid', '{"order_uid":5}', ['{"order_uid":5}']],
  ['an empty file', '', []],
  ['an empty list', ' [ ] ', []],
])('%s is read, with the bytes of each document unchanged', async (_, content, documents) => {
  expect(await valuesOf(content)).toEqual(documents);
  expect(await valuesOf(gzipSync(content))).toEqual(documents);
});

test('gzip of several members is read to its end', async () => {
  expect(await valuesOf(Buffer.concat([gzipSync(`${one}\n`), gzipSync(other)]))).toEqual([one, other]);
});

test('documents are the same however the file is cut into pieces', () => {
  const bytes = new TextEncoder().encode(`\ufeff[${one},\n${other}]\n\ufeff{"ж":"\u{1F600}\\\\"}`);
  const whole = [...createSplitter().push(bytes)];
  expect(whole.map(({ line }) => line)).toEqual([1, 2, 3]);
  for (const length of [1, 2, 3, 5, 8]) {
    const splitter = createSplitter();
    const documents = [];
    for (let at = 0; at < bytes.length; at += length)
      documents.push(...splitter.push(bytes.subarray(at, at + length)));
    splitter.end();
    expect(documents).toEqual(whole);
  }
});

test.each([
  [
    'CSV',
    `order_uid,amount\n1,2`,
    'line 1: expected an order, as a JSON object, or a list of them, found "order_uid,amount"',
  ],
  ['a number', `${one}\n\n5`, 'line 3: expected an order, as a JSON object, or a list of them, found "5"'],
  ['a text', `${one}\n"x"`, 'line 2: expected an order'],
  ['a cut document', `${one}\n{"a":[1,\n2`, 'lines 2 to 3: the document has no end'],
  ['a document that is not JSON', `${one}\n{a:1}`, 'line 2: the document is not JSON: '],
  [
    'a document of several lines that is not JSON',
    `${one}\n{"a":1\n"b":2}`,
    'lines 2 to 3: the document is not JSON: ',
  ],
  ['a list without an end', `[${one},\n${other}\n`, 'line 3: the list has no end'],
  ['a list without a comma', `[${one}\n${other}]`, 'line 2: expected "," or the end of the list, found'],
  ['a list with a comma too many', `[${one},]`, 'line 1: expected an order, as a JSON object, found "]"'],
  ['a list in a list', `[[${one}]]`, 'line 1: expected an order, as a JSON object, or the end of the list'],
  [
    'a byte order mark in a list',
    `[${one},\ufeff${other}]`,
    'line 1: expected an order, as a JSON object, found "\\ufeff{',
  ],
  [
    'a text that begins as a byte order mark does',
    `${one}\n\ufebex`,
    'line 2: expected an order, as a JSON object, or a list of them, found "\ufebex"',
  ],
  [
    'half of a byte order mark',
    Buffer.from([0x20, 0xef, 0xbb]),
    'line 1: the file ends within a byte order mark',
  ],
  [
    'a control character',
    `${one}\u009b31m`,
    'line 1: expected an order, as a JSON object, or a list of them, found "\\u009b31m"',
  ],
  ['documents with commas', `${one},${other}`, 'line 1: expected an order'],
  ['UTF-16', Buffer.from(`\ufeff${one}`, 'utf16le'), 'line 1: the file is not UTF-8; it seems to be UTF-16'],
  [
    'Windows-1251',
    Buffer.from([0x7b, 0x22, 0xc8, 0x22, 0x3a, 0x31, 0x7d]),
    'line 1: the document is not UTF-8',
  ],
  ['cut gzip', gzipSync(one).subarray(0, 20), 'it cannot be decompressed by gzip: '],
  [
    'gzip with bytes after its end',
    Buffer.concat([gzipSync(one), Buffer.alloc(512)]),
    `it cannot be decompressed by gzip: inflate failed in the first ${gzipSync(one).length + 512} bytes; it is damaged or cut, or other bytes follow its end`,
  ],
])('%s is refused in one line, with the line of the file', async (_, content, reason) => {
  const file = openFile(await fileOf(content));
  const refusal = await file.check(Number.POSITIVE_INFINITY, new AbortController().signal).catch(String);
  expect(refusal).toStartWith(`Error: ${reason}`);
  expect(refusal).not.toContain('\n');
  expect(file.fault()).toBeInstanceOf(Error);
});

test('the documents before a fault are read, and only as many are checked as will be sent', async () => {
  const path = await fileOf(`${one}\n${other}\nno JSON`);
  const read: string[] = [];
  const reading = async () => {
    for await (const list of openFile(path).messages()) read.push(...list.map(({ value }) => String(value)));
  };
  await expect(reading()).rejects.toThrow('line 3: ');
  expect(read).toEqual([one, other]);
  await check(path, 2);
  await expect(check(path, 3)).rejects.toThrow('line 3: ');
});

test('timers run while a file is checked, so that Ctrl-C and progress do', async () => {
  const path = await fileOf(`${JSON.stringify(buildOrder())}\n`.repeat(40_000));
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error('stopped')), 1);
  await expect(openFile(path).check(Number.POSITIVE_INFINITY, stop.signal)).rejects.toThrow('stopped');
});

test('a document without an end is refused once it is larger than any message, and not kept', () => {
  const splitter = createSplitter();
  const piece = new Uint8Array(8 * 2 ** 20).fill(0x20);
  piece[0] = 0x7b;
  const push = () => {
    for (let n = 0; n < 9; n++) [...splitter.push(piece)];
  };
  expect(push).toThrow('line 1: the document has no end within 64 MiB');
});

test('a large file is read in constant memory', async () => {
  const lines = `${JSON.stringify(buildOrder())}\n`.repeat(10_000);
  const member = gzipSync(lines);
  const members = 12;
  const path = await fileOf(Buffer.concat(Array.from({ length: members }, () => member)));
  // What is still in use, as how much garbage there is until the next collection is up to the runtime.
  const inUse = () => {
    Bun.gc(true);
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = inUse();
  let most = 0;
  let count = 0;
  let measuredAt = 0;
  for await (const list of openFile(path).messages()) {
    count += list.length;
    if (count - measuredAt < 5_000) continue;
    measuredAt = count;
    most = Math.max(most, inUse() - before);
  }
  expect(count).toBe(10_000 * members);
  expect(most).toBeLessThan((lines.length * members) / 10);
});
