/** What a person typed or pasted, read as order numbers. A number may hold any characters, so reading is only the second choice. */
import { isOrderUid } from '../order/order.ts';

/** A character that is often copied with a number: a space, a quote, an invisible one. */
const around = /^[\s\p{Cf}"'`«»“”„‘’‚‹›]$/u;

/** The text without such characters at both ends. */
export const trimUid = (text: string) => {
  const characters = [...text];
  const isInside = (character: string) => !around.test(character);
  return characters.slice(characters.findIndex(isInside), characters.findLastIndex(isInside) + 1).join('');
};

/** The number in a link to the page or to an order's JSON, on whatever host; undefined in another text. */
export const uidOfLink = (text: string): string | undefined => {
  const address = text.match(
    /^(?:https?:\/\/)?[^\s?#]*(?:\/order\/([^\s/?#]+)\/?|\/?\?(?:\S*&)?uid=([^\s&#]+))/i,
  );
  const encoded = address?.[1] ?? address?.[2]?.replaceAll('+', ' ');
  if (encoded === undefined) return undefined;
  try {
    return trimUid(decodeURIComponent(encoded));
  } catch {
    return undefined;
  }
};

/** The texts between spaces, line ends, commas and semicolons, each one once; of a link its number. */
export const splitNumbers = (text: string): string[] => {
  const parts = new Set<string>();
  for (const part of new Set(text.split(/[\s,;]+/u))) {
    const trimmed = trimUid(part);
    if (trimmed !== '') parts.add(trimmed.length < 10 ? trimmed : (uidOfLink(trimmed) ?? trimmed));
  }
  return [...parts];
};

/** Whether the text holds several numbers: a sentence, with one word as long as a number or none, does not. */
export const areSeveral = (parts: readonly string[]) => parts.filter(isOrderUid).length > 1;

/** Whether the text has letters in lower or upper case. */
export const hasCase = (text: string) => text.toLowerCase() !== text.toUpperCase();

/** Whether the text is a number as the page shortens it, with its middle left out. */
export const isShortened = (text: string) => /^[^\s…]{2,12}(?:…|\.{3})[^\s…]{2,12}$/u.test(text);
