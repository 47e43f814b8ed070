import { header, textOf } from '../kafka/headers.ts';
import { reasonText } from './filter.ts';
import { prettyJson, timeOf } from './format/json.ts';
import { safeBytes, safeLine, safeText, shortened, textOfBytes } from './format/safe-text.ts';
import { addressOf, type Letter } from './letter.ts';

/** Shown of a value, of any other fact, and of the headers, at the most; the first two in characters. */
const valueShown = 65_536;
const factShown = 2_000;
const headersShown = 100;

/** The letter, for people: what is too long for them is cut, and said to be. */
export const letterToText = (letter: Letter, topic: string): string => {
  const { from, time, stage, key, value, headers, redrives, isRedriven } = letter;
  const rest = others(headers);
  const more = rest.length - headersShown;
  const facts: [string, string | undefined][] = [
    ['Letter', `${addressOf(letter)} of ${topic}${isRedriven ? ', sent again' : ''}`],
    ['From', from && `${from.partition}/${from.offset} of ${from.topic}`],
    ['Sent', timeOf(time) ?? '-'],
    ['Stage', stage],
    ['Reason', reasonText(letter) || undefined],
    [
      'Redrives',
      redrives > 0 ? `${redrives}, the last of letter ${textOf(headers, header.letter)}` : undefined,
    ],
    ['Key', key === null ? '(none)' : safeBytes(key)],
    ...rest.slice(0, headersShown).map((show) => show()),
    ['Headers', more > 0 ? `${more} more, which --json shows` : undefined],
    ['Value', valueFact(value)],
  ];
  const lines = facts.flatMap(([name, fact]) =>
    fact === undefined ? [] : [`${safeLine(name).padEnd(8)}  ${cut(safeLine(fact), factShown)}`],
  );
  return [...lines, ...(value && value.length > 0 ? ['', valueText(value)] : [])].join('\n');
};

const cut = (text: string, most: number, before = ' ') =>
  text.length > most
    ? `${shortened(text, most)}${before}(cut after ${most} characters, --json shows all)`
    : text;

const told: string[] = Object.values(header);

/** Headers that are not told in words of our own. */
const others = (headers: Letter['headers']): (() => [string, string])[] =>
  Object.entries(headers)
    .filter(([name]) => !told.includes(name))
    .flatMap(([name, held]) =>
      (Array.isArray(held) ? held : [held]).map((value) => (): [string, string] => [
        'Header',
        `${name}: ${value === null || value === undefined ? '(none)' : safeBytes(Buffer.from(value))}`,
      ]),
    );

const valueFact = (value: Buffer | null) => {
  if (value === null) return '(none)';
  const text = textOfBytes(value);
  const kind = text === undefined ? ', not UTF-8' : prettyJson(text, 0) === undefined ? ', not JSON' : '';
  return `${value.length} ${value.length === 1 ? 'byte' : 'bytes'}${value.length > 0 ? kind : ''}`;
};

const valueText = (value: Buffer) => {
  const text = textOfBytes(value);
  const shown =
    text === undefined
      ? safeBytes(value.subarray(0, valueShown + 1))
      : safeText((prettyJson(text, valueShown) ?? text).slice(0, valueShown + 1));
  return cut(shown, valueShown, '\n');
};
