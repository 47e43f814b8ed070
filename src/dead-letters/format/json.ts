import { addressOf, type Letter } from '../letter.ts';
import { safeText, textOfBytes } from './safe-text.ts';

/** Bytes in JSON: text where they are UTF-8, so that nothing is lost. */
const bytesToJson = (bytes: Buffer | null) => {
  if (bytes === null) return null;
  return textOfBytes(bytes) ?? { base64: bytes.toString('base64') };
};

const headerToJson = (held: Letter['headers'][string]) => {
  const values = (Array.isArray(held) ? held : [held]).map((value) =>
    bytesToJson(value === null || value === undefined ? null : Buffer.from(value)),
  );
  return values.length === 1 ? values[0] : values;
};

/** The whole letter as JSON in one line, for programs. */
export const letterToJson = (letter: Letter): string => {
  const { time, stage, error, reason, from, redrives, isRedriven, key, value, headers } = letter;
  const json = JSON.stringify({
    letter: addressOf(letter),
    time: timeOf(time) ?? null,
    stage,
    error,
    reason,
    from,
    redrives,
    redriven: isRedriven,
    key: bytesToJson(key),
    value: bytesToJson(value),
    headers: Object.fromEntries(Object.entries(headers).map(([name, held]) => [name, headerToJson(held)])),
  });
  return safeText(json);
};

/** `2026-01-31T08:00:00.000Z`; undefined if nobody said, or it is no time that there is. */
export const timeOf = (time: number): string | undefined => {
  const date = new Date(time);
  return time < 0 || Number.isNaN(date.getTime()) ? undefined : date.toISOString();
};

/** Levels that are indented: what nests a thousand levels deep would be more blanks than anybody can hold. */
const deepest = 50;

const blanks = ' \t\n\r';
const signs = '[]{},:';

/** Where the word, sign or text of a JSON document ends that begins at `at`. No regular expression: it may be of 16 MB. */
const endOf = (text: string, at: number): number => {
  const first = text[at] as string;
  if (signs.includes(first)) return at + 1;
  let end = at + 1;
  if (first === '"') {
    while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
    return end + 1;
  }
  while (end < text.length && !signs.includes(text[end] as string) && !blanks.includes(text[end] as string))
    end++;
  return end;
};

/**
 * JSON text with its lines broken and indented, and nothing else changed: parsed and written again, it would have other
 * numbers where they are large, and lack what is in it twice. Undefined if the text is not JSON. Ends after `most`
 * characters or somewhat more, as a line of brackets has a thousand times its length when it is indented.
 */
export const prettyJson = (text: string, most = Number.POSITIVE_INFINITY): string | undefined => {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const parts: string[] = [];
  let length = 0;
  let depth = 0;
  let before = '';
  const add = (...more: string[]) => {
    for (const part of more) {
      parts.push(part);
      length += part.length;
    }
  };
  const line = () => `\n${'  '.repeat(Math.min(depth, deepest))}`;
  for (let at = 0; at < text.length && length <= most; ) {
    if (blanks.includes(text[at] as string)) {
      at++;
      continue;
    }
    const end = endOf(text, at);
    const token = text.slice(at, end);
    at = end;
    const isEmpty = (before === '{' && token === '}') || (before === '[' && token === ']');
    if (token === '}' || token === ']') depth -= 1;
    if (isEmpty) add(token);
    else if (token === '}' || token === ']') add(line(), token);
    else if (before === '{' || before === '[' || before === ',') add(line(), token);
    else add(token);
    if (token === ':') add(' ');
    if (token === '{' || token === '[') depth += 1;
    before = token;
  }
  return parts.join('');
};
