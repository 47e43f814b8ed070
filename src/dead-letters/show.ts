import { reasonText } from './filter.ts';
import { header, textOf } from './headers.ts';
import { prettyJson, timeOf } from './json.ts';
import { addressOf, type Letter } from './letter.ts';
import { safeBytes, safeLine, safeText, textOfBytes } from './safe-text.ts';

/** The whole letter, for people. */
export const letterToText = (letter: Letter, topic: string): string => {
  const { from, time, stage, key, value, headers, redrives, isRedriven } = letter;
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
    ...others(headers),
    ['Value', valueFact(value)],
  ];
  const lines = facts.flatMap(([name, fact]) =>
    fact === undefined ? [] : [`${safeLine(name).padEnd(8)}  ${safeLine(fact)}`],
  );
  return [...lines, ...(value && value.length > 0 ? ['', valueText(value)] : [])].join('\n');
};

const told: string[] = Object.values(header);

/** Headers that are not told in words of our own. */
const others = (headers: Letter['headers']): [string, string][] =>
  Object.entries(headers)
    .filter(([name]) => !told.includes(name))
    .flatMap(([name, held]) =>
      (Array.isArray(held) ? held : [held]).map((value): [string, string] => [
        'Header',
        `${name}: ${value === null || value === undefined ? '(none)' : safeBytes(Buffer.from(value))}`,
      ]),
    );

const valueFact = (value: Buffer | null) => {
  if (value === null) return '(none)';
  const text = textOfBytes(value);
  const kind = text === undefined ? ', not UTF-8' : prettyJson(text) === undefined ? ', not JSON' : '';
  return `${value.length} ${value.length === 1 ? 'byte' : 'bytes'}${value.length > 0 ? kind : ''}`;
};

const valueText = (value: Buffer) => {
  const text = textOfBytes(value);
  if (text === undefined) return safeBytes(value);
  return safeText(prettyJson(text) ?? text);
};
