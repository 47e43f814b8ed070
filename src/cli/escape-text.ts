/**
 * Text for a terminal from untrusted bytes: characters that move the cursor, change colours, reverse the writing direction or are
 * invisible become escapes.
 */

/** Control characters except line feed and tab, format characters, line separators, and lone surrogates. */
const unsafe = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

const escaped = (character: string) => {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
};

/** Keeps line breaks and tabs. The escapes are those of JSON, so JSON keeps its meaning. */
export const escapeText = (text: string): string => text.replace(unsafe, escaped);

/** As `escapeText`, on one line. */
export const escapeLine = (text: string): string => escapeText(text).replace(/[\n\t]/g, escaped);

/** At most the first `length` bytes, without splitting a character. */
export const startOf = (bytes: Buffer, length: number): Buffer => {
  let end = Math.min(length, bytes.length);
  for (let back = 0; back < 3 && end < bytes.length && ((bytes[end] as number) & 0xc0) === 0x80; back++)
    end--;
  return bytes.subarray(0, end);
};

/** At most `length` characters, the last one an ellipsis if text was cut. */
export const shortened = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes UTF-8; undefined if the bytes are not UTF-8. */
export const textOfBytes = (bytes: Buffer): string | undefined => {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
};

/** UTF-8 as `escapeText` does it; other bytes as ASCII, with `\xff` for all that is not printable. */
export const escapeBytes = (bytes: Buffer): string => {
  const text = textOfBytes(bytes);
  if (text !== undefined) return escapeText(text);
  return bytes
    .toString('latin1')
    .replace(/[^\n\t\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
};
