import { weightedList } from '../src/http/weighted-list.ts';
import { texts } from './text.ts';

export type Language = keyof typeof texts;

export const isLanguage = (value: unknown): value is Language =>
  typeof value === 'string' && Object.hasOwn(texts, value);

/** The preferred language of an `Accept-Language` header; Russian when it has neither, unless Russian is the one that it excludes. */
export const preferredLanguage = (header: string | null): Language => {
  const asked = weightedList(header).map(({ value, weight }) => ({ language: value.split('-')[0], weight }));
  const usable = asked.filter(({ language, weight }) => isLanguage(language) && weight > 0);
  const first = usable.sort((a, b) => b.weight - a.weight)[0]?.language;
  if (isLanguage(first)) return first;
  const isExcluded = (wanted: Language) =>
    asked.some(({ language, weight }) => language === wanted && weight === 0);
  return isExcluded('ru') && !isExcluded('en') ? 'en' : 'ru';
};
