import { escapeBytes, escapeLine, escapeText, shortened, textOfBytes } from '../../cli/escape-text.ts';
import { header, textOf } from '../../kafka/headers.ts';
import { type Letter, letterAddress, reasonText, sentAt } from '../letter.ts';
import { prettyJson } from './pretty-json.ts';

/** In characters. */
const maxValueLength = 65_536;
/** More than the longest reason of this program. */
const maxReasonLength = 5_000;
const maxFieldLength = 2_000;
const maxHeaders = 100;

/** The letter for a terminal. Long values are cut, with a note. */
export const letterToText = (letter: Letter, topic: string): string => {
  const { from, stage, key, value, headers, redrives, isRedriven, isDiscarded } = letter;
  const rest = otherHeaders(headers);
  const more = rest.length - maxHeaders;
  const fields: [string, string | undefined][] = [
    [
      'Letter',
      `${letterAddress(letter)} of ${topic}${isRedriven ? ', sent again' : ''}${isDiscarded ? ', discarded' : ''}`,
    ],
    ['From', from && `${from.partition}/${from.offset} of ${from.topic}`],
    ['Sent', sentAt(letter) ?? '-'],
    ['Stage', stage],
    ['Reason', reasonText(letter) || undefined],
    [
      'Redrives',
      redrives > 0 ? `${redrives}, most recently of letter ${textOf(headers, header.letter)}` : undefined,
    ],
    ['Key', key === null ? '(none)' : escapeBytes(key)],
    ...rest.slice(0, maxHeaders).map((show) => show()),
    ['Headers', more > 0 ? `${more} more, see --json` : undefined],
    ['Value', valueSummary(value)],
  ];
  const lines = fields.flatMap(([name, text]) =>
    text === undefined
      ? []
      : [
          `${escapeLine(name).padEnd(8)}  ${cut(escapeLine(text), name === 'Reason' ? maxReasonLength : maxFieldLength)}`,
        ],
  );
  return [...lines, ...(value && value.length > 0 ? ['', valueText(value)] : [])].join('\n');
};

const cut = (text: string, most: number, before = ' ') =>
  text.length > most ? `${shortened(text, most)}${before}(cut after ${most} characters, see --json)` : text;

const knownHeaders: string[] = Object.values(header);

/** Headers that no other line of the output shows, formatted on demand. */
const otherHeaders = (headers: Letter['headers']): (() => [string, string])[] =>
  Object.entries(headers)
    .filter(([name]) => !knownHeaders.includes(name))
    .flatMap(([name, held]) =>
      (Array.isArray(held) ? held : [held]).map((value) => (): [string, string] => [
        'Header',
        `${name}: ${value === null || value === undefined ? '(none)' : escapeBytes(Buffer.from(value))}`,
      ]),
    );

const valueSummary = (value: Buffer | null) => {
  if (value === null) return '(none)';
  const text = textOfBytes(value);
  const kind = text === undefined ? ', not UTF-8' : prettyJson(text, 0) === undefined ? ', not JSON' : '';
  return `${value.length} ${value.length === 1 ? 'byte' : 'bytes'}${value.length > 0 ? kind : ''}`;
};

const valueText = (value: Buffer) => {
  const text = textOfBytes(value);
  const shown =
    text === undefined
      ? escapeBytes(value.subarray(0, maxValueLength + 1))
      : escapeText((prettyJson(text, maxValueLength) ?? text).slice(0, maxValueLength + 1));
  return cut(shown, maxValueLength, '\n');
};
