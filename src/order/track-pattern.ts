import { type AST, RegExpParser } from '@eslint-community/regexpp';
import { columnLengths } from './rules.ts';

/**
 * A configured pattern reads the text of strangers. So it must not backtrack for long (ReDoS): the ways in which it can go through a
 * text are counted, and limited.
 */

/** Three repetitions like `[A-Z]+` have 23,426; the slowest texts take less than a millisecond. */
const maxWays = 25_000;
const maxPatternLength = 200;
const maxLength = columnLengths.trackNumber;

/** In how many ways a part of the pattern can match texts of 0, 1, … `maxLength` characters. */
type Ways = number[];

const none = (): Ways => new Array(maxLength + 1).fill(0);
const only = (length: number): Ways => none().fill(1, length, length + 1);

/** Checked after each step, as the ways of a beginning are tried even if the rest never matches. */
const limited = (ways: Ways): Ways => {
  if (ways.reduce((sum, count) => sum + count, 0) > maxWays)
    throw new SyntaxError('can match a text in too many ways, by repetitions of varying number');
  return ways;
};

const sum = (one: Ways, other: Ways): Ways =>
  limited(one.map((count, length) => count + (other[length] ?? 0)));

const product = (one: Ways, other: Ways): Ways => {
  const ways = none();
  for (const [start, count] of one.entries())
    for (let length = 0; count > 0 && start + length <= maxLength; length++)
      ways[start + length] = (ways[start + length] ?? 0) + count * (other[length] ?? 0);
  return limited(ways);
};

/** NUL and surrogates are missing, as a text of an order holds neither. */
function* codePoints() {
  for (let point = 0x21; point <= 0x10_ffff; point++) if (point < 0xd800 || point > 0xdfff) yield point;
  for (let point = 1; point < 0x21; point++) yield point;
}

/** The first character that a part of the pattern matches. Throws if there is none. */
export const characterOf = ({ raw }: AST.Element): string => {
  const single = new RegExp(`^${raw}$`, 'u');
  for (const point of codePoints()) {
    const character = String.fromCodePoint(point);
    if (single.test(character)) return character;
  }
  throw new SyntaxError(`contains ${raw}, which matches no character`);
};

const inSequence = (elements: readonly AST.Element[]): Ways =>
  elements.reduce((ways, element) => product(ways, waysOf(element)), only(0));

const repeated = ({ element, min, max }: AST.Quantifier): Ways => {
  const once = waysOf(element);
  let times = only(0);
  let all = none();
  // More repetitions than characters match nothing.
  for (let count = 0; count <= Math.min(max, maxLength); count++) {
    if (count > 0) times = product(times, once);
    if (count >= min) all = sum(all, times);
  }
  return all;
};

const waysOf = (element: AST.Element): Ways => {
  switch (element.type) {
    case 'Character':
    case 'CharacterSet':
    case 'CharacterClass':
      characterOf(element);
      return only(1);
    case 'Quantifier':
      return repeated(element);
    case 'Group':
    case 'CapturingGroup':
      // A modifier changes what the characters of its group match.
      if (element.type === 'Group' && element.modifiers) break;
      return element.alternatives.map(({ elements }) => inSequence(elements)).reduce(sum);
  }
  throw new SyntaxError(`contains ${element.raw}, which is not supported`);
};

const parse = (pattern: string): AST.Pattern => {
  try {
    return new RegExpParser().parsePattern(pattern, 0, pattern.length, { unicode: true });
  } catch (error) {
    // Its message quotes the pattern first.
    const reason = (error as Error).message.split(': ').at(-1);
    throw new SyntaxError(`is not a regular expression (${reason})`, { cause: error });
  }
};

/** The parts of a pattern of track numbers, between `^` and `$`. Throws if it is not allowed. */
export const parseTrackPattern = (pattern: string): AST.Element[] => {
  // Without spaces, as a reason quotes it and separates faults with a space.
  if (pattern.length > maxPatternLength)
    throw new SyntaxError(`is longer than ${maxPatternLength} characters`);
  if (!/^[!-~]+$/.test(pattern))
    throw new SyntaxError('contains a space, or a character that is not printable ASCII');
  const { alternatives } = parse(pattern);
  const [first, ...elements] = alternatives[0]?.elements ?? [];
  const last = elements.pop();
  const isWhole =
    first?.type === 'Assertion' &&
    first.kind === 'start' &&
    last?.type === 'Assertion' &&
    last.kind === 'end';
  if (alternatives.length !== 1 || !isWhole) throw new SyntaxError('does not match whole texts, from ^ to $');
  if (!inSequence(elements).some((ways, length) => ways > 0 && length > 0))
    throw new SyntaxError(`matches no text of 1 to ${maxLength} characters`);
  return elements;
};

export const trackPatternAllowed =
  `a regular expression from ^ to $, in at most ${maxPatternLength} ASCII characters without spaces, for texts of 1 to ${maxLength} characters; ` +
  'with few repetitions of varying number, no lookaround, no backreferences, alternatives in parentheses';

/** What is wrong with a pattern, as the end of a sentence; undefined if it is allowed. */
export const faultOfTrackPattern = (pattern: string): string | undefined => {
  try {
    parseTrackPattern(pattern);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
};
