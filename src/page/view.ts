import { createFormat } from '../../views/format.ts';
import { texts } from '../../views/text.ts';
import type { View } from '../../views/view.ts';
import { readPreferences } from './preferences.ts';

const formats = { ru: createFormat('ru'), en: createFormat('en') };

/** What a page for this visitor depends on; `ofPage`: the language of the page that the request is from, if its address says so. */
export const viewFor = (request: Request, ofPage: string | null = null): View => {
  const preferences = readPreferences(request, ofPage);
  const { language } = preferences;
  return {
    ...preferences,
    text: texts[language],
    format: formats[language],
    now: new Date(),
    hasScript: request.headers.has('hx-request-type'),
  };
};
