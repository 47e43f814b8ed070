import { texts } from './text.ts';

export type Language = keyof typeof texts;

export const isLanguage = (value: unknown): value is Language =>
  typeof value === 'string' && Object.hasOwn(texts, value);

/** The language that an `Accept-Language` header asks for first; Russian where it asks for neither. */
export const preferredLanguage = (header: string | null): Language => {
  const asked = (header ?? '').split(',').map((range) => {
    const [tag = '', ...parameters] = range
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    return { language: tag.split('-')[0], weight: weight ? Number(weight.slice(2)) : 1 };
  });
  const usable = asked.filter(({ language, weight }) => isLanguage(language) && weight > 0);
  const first = usable.sort((a, b) => b.weight - a.weight)[0]?.language;
  return isLanguage(first) ? first : 'ru';
};
