import { expect, test } from 'bun:test';
import { Glob } from 'bun';
import { texts } from '../../views/text.ts';

const languages = Object.entries(texts) as [string, Record<string, string | Record<string, string>>][];

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

test('every language has the same strings, none of them empty, with the same placeholders', () => {
  for (const [, text] of languages) expect(Object.keys(text)).toEqual(Object.keys(texts.en));
  for (const [key, english] of Object.entries(texts.en)) {
    for (const [language, text] of languages) {
      const found = text[key];
      expect([language, key, typeof found]).toEqual([language, key, typeof english]);
      if (typeof found !== 'string' || typeof english !== 'string') continue;
      expect(found.trim()).not.toBe('');
      expect([key, placeholders(found)]).toEqual([key, placeholders(english)]);
    }
  }
});

test('a plural has a form for each category of its language that numbers can have', () => {
  for (const [language, text] of languages) {
    const { pluralCategories } = new Intl.PluralRules(language).resolvedOptions();
    for (const [key, forms] of Object.entries(text)) {
      if (typeof forms === 'string') continue;
      const same = Object.keys(forms).join() === 'other';
      if (!same) expect([key, Object.keys(forms).sort()]).toEqual([key, [...pluralCategories].sort()]);
      for (const form of Object.values(forms)) expect(placeholders(form)).toEqual(['{n}']);
    }
  }
});

test('every string is used', async () => {
  const root = `${import.meta.dir}/../../views`;
  let code = '';
  for await (const path of new Glob('{*.tsx,table.ts}').scan(root))
    code += await Bun.file(`${root}/${path}`).text();
  const unused = Object.keys(texts.en).filter(
    (key) => !new RegExp(`text\\.${key}\\b|'${key}'|^ {2}${key}:`, 'm').test(code),
  );
  // The views read these by the name of the tier.
  expect(unused.filter((key) => !['redis', 'memory', 'postgres'].includes(key))).toEqual([]);
});
