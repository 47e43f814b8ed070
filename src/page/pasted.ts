/** What a person typed or pasted, read as order numbers. A number may hold any characters, so reading is only the second choice. */
import { isOrderUid } from '../order/order.ts';

/** In UTF-16 units. No number is longer, with any spaces and quotes around it; to render all of a longer text would take 12 ms. */
const maxLength = 500;

/** A character that is often copied with a number: a space, a quote, an invisible one. */
const around = /^[\s\p{Cf}"'`«»“”„‘’‚‹›]$/u;
/** One that is beside a number in a sentence, too. */
const aroundInSentence = /^[\s\p{Cf}"'`«»“”„‘’‚‹›.,!?:;()[\]<>#№]$/u;

const trim = (text: string, outside: RegExp) => {
  let start = 0;
  for (const character of text) {
    if (!outside.test(character)) break;
    start += character.length;
  }
  let end = text.length;
  while (end > start) {
    const isPair = /[\udc00-\udfff]/.test(text.charAt(end - 1));
    const last = text.slice(end - (isPair ? 2 : 1), end);
    if (!outside.test(last)) break;
    end -= last.length;
  }
  return text.slice(start, end);
};

/** The text without such characters at both ends. */
export const trimUid = (text: string) => trim(text, around);

/** What a person can mean by a text, the likeliest first: as it is, without quotes around it, without punctuation. */
export const readingsOf = (text: string): string[] =>
  text.length > maxLength ? [] : [...new Set([text, trimUid(text), trim(text, aroundInSentence)])];

export const mayBeNumber = (text: string) => readingsOf(text).some(isOrderUid);

/** The numbers in a link to the page or to an order's JSON, on whatever host; none in another text. */
export const uidsOfLink = (text: string): string[] => {
  const address = text.match(/^(?:https?:\/\/)?[^\s?#]*(?:\/order\/([^\s/?#]+)\/?|\?([^\s#]*))/i);
  const [, uid, query = ''] = address ?? [];
  const encoded = uid
    ? [uid]
    : query
        .split('&')
        .filter((parameter) => /^uid=./i.test(parameter))
        .map((parameter) => parameter.slice('uid='.length).replaceAll('+', ' '));
  try {
    return [...new Set(encoded.map(decodeURIComponent))];
  } catch {
    return [];
  }
};

/** The texts between spaces, line ends, commas and semicolons, each one once; of a link its numbers. */
export const splitNumbers = (text: string): string[] => {
  const parts = new Set<string>();
  for (const part of new Set(text.split(/[\s,;]+/u))) {
    const trimmed = trimUid(part);
    if (trimmed === '') continue;
    const linked = trimmed.length < 10 ? [] : uidsOfLink(trimmed);
    for (const number of linked.length > 0 ? linked : [part]) parts.add(number);
  }
  return [...parts];
};

/** Of letters alone, a phone number or an email address: in a sentence hardly the number of an order. */
export const isWord = (text: string) =>
  text.length <= maxLength &&
  /^(?:\p{L}[\p{L}\p{M}'’-]*|\+[\d().-]+|[^@]+@[^@]+)$/u.test(trim(text, aroundInSentence));

/** Whether the parts of a text are those of a sentence: a word that is no number is beside the others. */
export const isSentence = (parts: readonly string[]) =>
  parts.some((part) => isWord(part) && (!mayBeNumber(part) || /[@+]/.test(part)));

/** Whether the text has letters in lower or upper case. */
export const hasCase = (text: string) => text.toLowerCase() !== text.toUpperCase();

/** Whether the text is a number as the page shortens it, with its middle left out. */
export const isShortened = (text: string) => /^[^\s…]{2,12}(?:…|\.{3})[^\s…]{2,12}$/u.test(text);

/** The text, or just enough of it to be too long. */
export const cutUid = (text: string) => text.slice(0, maxLength + 1).toWellFormed();
