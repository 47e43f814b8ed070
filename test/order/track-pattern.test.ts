import { expect, test } from 'bun:test';
import { defaultRules } from '../../src/order/rules.ts';
import { faultOfTrackPattern } from '../../src/order/track-pattern.ts';

test.each([
  defaultRules.trackPattern,
  '^[A-Z0-9-]{8,20}$',
  '^.+$',
  '^\\w*$',
  '^[A-Z]{2}\\d{9}[A-Z]{2}$',
  '^(?:WB|IL|TRACK)-[0-9]{4,10}(-[A-Z]{2})?$',
  '^([A-Z]{4}-){3}[0-9]+$',
  '^[A-Z]{1,20}-[A-Z0-9]{1,20}$',
  '^[A-Z]+-[A-Z]+-[0-9]+$',
  '^[^\\s]{1,50}$',
  '^[\\u0430-\\u044f\\u{1F4E6}]+$',
])('%s is allowed', (pattern) => {
  expect(faultOfTrackPattern(pattern)).toBeUndefined();
});

const slow = [
  '^(a+)+$',
  '^(a|a)*$',
  '^(a?){25}a{25}$',
  '^([A-Z]+-?)+$',
  '^(.*.*.*.*)$',
  `^${'a?'.repeat(25)}${'a'.repeat(25)}$`,
  '^(?:a{1,9}){1,9}$',
  '^(?:[A-Z]{0,99}){0,99}$',
];
test.each(slow)('%s may backtrack for long, and is rejected', (pattern) => {
  expect(faultOfTrackPattern(pattern)).toBeString();
});

test.each([
  '',
  '[A-Z]+',
  '^[A-Z]+',
  '[A-Z]+$',
  '^A+$|^B+$',
  '^A|B$',
  '^[A-Z+$',
  '^(?=A)[A-Z]+$',
  '^(?!A)[A-Z]+$',
  '^(?<=A)B$',
  '^([A-Z])\\1$',
  '^A\\b$',
  '^A^B$',
  '^(?i:a)$',
  '^[A-Z ]+$',
  '^[а-я]+$',
  '^A\n$',
  '^A{51}$',
  `^${'[A-Z]'.repeat(40)}$`,
  '^A{3,2}$',
  '/^A$/',
  '^$',
  '^(?:)$',
  '^A{0}$',
  '^[^\\s\\S]{8}$',
  '^[]A$',
  '^\\u0000{8}$',
  '^\\uD83D{8}$',
])('%j is rejected', (pattern) => {
  expect(faultOfTrackPattern(pattern)).toBeString();
});

test.each([
  '^[A-Z]+[A-Z]+[A-Z]+-$',
  '^.*.*.*-$',
  '^(?:A|B|AB|AA){1,7}-$',
  `^${'A?'.repeat(14)}A{36}-$`,
  '^(?:[A-Z]{1,2}){1,13}-$',
])('%s is allowed, and reads the worst text within a few ms', (pattern) => {
  expect(faultOfTrackPattern(pattern)).toBeUndefined();
  const expression = new RegExp(pattern, 'u');
  const took = (text: string) => {
    const begun = performance.now();
    expression.test(text);
    return performance.now() - begun;
  };
  for (let length = 1; length <= 50; length++) {
    const text = 'A'.repeat(length);
    // The best of three, as other processes may take the processor.
    expect(Math.min(took(text), took(text), took(text))).toBeLessThan(20);
  }
});

test.each([
  [`^${'[A-Z]'.repeat(40)}$`, 'is longer than 200 characters'],
  ['^[A-Z ]+$', 'contains a space, or a character that is not printable ASCII'],
  ['^[A-Z+$', 'is not a regular expression (Unterminated character class)'],
  ['[A-Z]+', 'does not match whole texts, from ^ to $'],
  ['^A{51}$', 'matches no text of 1 to 50 characters'],
  ['^(a+)+$', 'can match a text in too many ways, by repetitions of varying number'],
  ['^A(?!B)$', 'contains (?!B), which is not supported'],
  ['^[^\\s\\S]{8}$', 'contains [^\\s\\S], which matches no character'],
])('of %s the rule that is broken is named', (pattern, fault) => {
  expect(faultOfTrackPattern(pattern)).toBe(fault);
});
