import { createFormat } from '../../views/format.ts';
import { texts } from '../../views/text.ts';
import type { View } from '../../views/view.ts';
import { readPreferences } from './preferences.ts';

const formats = { ru: createFormat('ru'), en: createFormat('en') };

/** What a page for this visitor depends on. */
export const viewFor = (request: Request): View => {
  const preferences = readPreferences(request);
  const { language } = preferences;
  return {
    ...preferences,
    text: texts[language],
    format: formats[language],
    now: new Date(),
    hasScript: request.headers.has('hx-request-type'),
  };
};
