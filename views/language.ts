import { texts } from './text.ts';
import { weightedList } from './weighted-list.ts';

export type Language = keyof typeof texts;

export const isLanguage = (value: unknown): value is Language =>
  typeof value === 'string' && Object.hasOwn(texts, value);

/** The preferred language of an `Accept-Language` header; Russian when it has neither. */
export const preferredLanguage = (header: string | null): Language => {
  const asked = weightedList(header).map(({ value, weight }) => ({ language: value.split('-')[0], weight }));
  const usable = asked.filter(({ language, weight }) => isLanguage(language) && weight > 0);
  const first = usable.sort((a, b) => b.weight - a.weight)[0]?.language;
  return isLanguage(first) ? first : 'ru';
};
