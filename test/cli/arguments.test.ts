/** The arguments that all commands share. */
import { expect, test } from 'bun:test';
import { define, readArguments } from '../../src/cli/arguments.ts';
import { readCommand as readLetters } from '../../src/dead-letters/options.ts';
import { readCommand as readErasure } from '../../src/erasure/options.ts';
import { readOptions } from '../../src/producer/options.ts';
import { readCommand as readReplay } from '../../src/replay/options.ts';

const text = define({ value: 'TEXT', allowed: 'a text', description: '', read: (value) => value });
const table = { options: { text }, flags: { yes: '', help: '' } };

test.each([
  ['orders', () => readErasure(['erase', '--email', 'a@x.org', '--email', 'b@x.org']), 'email'],
  [
    'dead-letters find',
    () => readLetters(['find', '--phone', '+79001234567', '--phone=+79001234568']),
    'phone',
  ],
  ['dead-letters redrive', () => readLetters(['redrive', '--limit', '1', '--limit', '1']), 'limit'],
  ['replay', () => readReplay(['--from', '2h', '--from', 'earliest']), 'from'],
  ['producer', () => readOptions(['--rate', '1', '--rate', '2']), 'rate'],
])('%s refuses an option that is given twice, as one of the values would be ignored', (_, read, name) => {
  expect(read).toThrow(`--${name} is given more than once; allowed: once`);
});

test('a flag may be repeated', () => {
  expect(readArguments(['--yes', '--yes'], table)).toEqual({ given: { yes: true }, rest: [] });
});

test('-- ends the options: what follows is an argument, whatever it begins with', () => {
  expect(readArguments(['--text', 'a', '--', '-x', '--help', '--', 'b'], table, 4)).toEqual({
    given: { text: 'a' },
    rest: ['-x', '--help', '--', 'b'],
  });
  expect(readErasure(['erase', '--yes', '--', '-order-number'])).toEqual({
    selection: { uids: ['-order-number'] },
    isDry: false,
    isConfirmed: true,
  });
  expect(() => readArguments(['--', 'a'], table)).toThrow('"a" is not an option');
});

test('one argument too many is named with the limit', () => {
  const uids = Array.from({ length: 10_001 }, (_, index) => `order-number-${index}`);
  expect(readErasure(['erase', ...uids.slice(1)])).toMatchObject({ selection: { uids: uids.slice(1) } });
  expect(() => readErasure(['erase', ...uids])).toThrow(
    '"order-number-10000" is one argument too many; allowed: 10000 beside the options',
  );
});
