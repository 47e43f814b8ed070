/**
 * Text for a terminal, from bytes that anybody sent: what would move the cursor, change colours, reverse the direction of
 * writing or pass unseen is shown as an escape.
 */

/** Controls but line feed and tab, format characters, separators of lines, and halves of characters. */
const unsafe = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

const escaped = (character: string) => {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
};

/** Several lines at the most. As JSON escapes the same way, JSON stays JSON of the same meaning. */
export const safeText = (text: string): string => text.replace(unsafe, escaped);

/** One line. */
export const safeLine = (text: string): string => safeText(text).replace(/[\n\t]/g, escaped);

/** At most `length` bytes of the beginning, without a part of a character. */
export const startOf = (bytes: Buffer, length: number): Buffer => {
  let end = Math.min(length, bytes.length);
  for (let back = 0; back < 3 && end < bytes.length && ((bytes[end] as number) & 0xc0) === 0x80; back++)
    end--;
  return bytes.subarray(0, end);
};

/** At most `length` characters, with a sign where the rest was. */
export const shortened = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text if they are UTF-8, otherwise undefined. */
export const textOfBytes = (bytes: Buffer): string | undefined => {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
};

/** Bytes that are not UTF-8, or may not be: each that is not of ASCII's printable ones as `\xff`. */
export const safeBytes = (bytes: Buffer): string => {
  const text = textOfBytes(bytes);
  if (text !== undefined) return safeText(text);
  return bytes
    .toString('latin1')
    .replace(/[^\n\t\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
};
