import { addressOf, type Letter } from './letter.ts';
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

/** Every word, sign and text of a JSON document. */
const tokens = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g;

/**
 * JSON text with its lines broken and indented, and nothing else changed: parsed and written again, it would have other
 * numbers where they are large, and lack what is in it twice. Undefined if the text is not JSON.
 */
export const prettyJson = (text: string): string | undefined => {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const parts: string[] = [];
  let depth = 0;
  let before = '';
  const line = () => `\n${'  '.repeat(Math.min(depth, deepest))}`;
  for (const [token] of text.matchAll(tokens)) {
    const isEmpty = (before === '{' && token === '}') || (before === '[' && token === ']');
    if (token === '}' || token === ']') depth -= 1;
    if (isEmpty) parts.push(token);
    else if (token === '}' || token === ']') parts.push(line(), token);
    else if (before === '{' || before === '[' || before === ',') parts.push(line(), token);
    else parts.push(token);
    if (token === ':') parts.push(' ');
    if (token === '{' || token === '[') depth += 1;
    before = token;
  }
  return parts.join('');
};
