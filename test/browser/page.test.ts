import { afterAll, beforeAll, describe, setDefaultTimeout } from 'bun:test';
import type { Browser } from 'playwright-core';
import { basePathTests } from './base-path.ts';
import { budgetTests } from './budgets.ts';
import { liveTests } from './live.ts';
import { lookupTests } from './lookups.ts';
import { orderTests } from './orders.ts';
import { safetyTests } from './safety.ts';
import { settingsTests } from './settings.ts';
import { createVisit, launch } from './stage.ts';
import { stateTests } from './states.ts';

const suites = {
  'looking up': lookupTests,
  'an order': orderTests,
  'where there is no order': stateTests,
  'the live list': liveTests,
  'language and theme': settingsTests,
  'safe and accessible': safetyTests,
  'below a path': basePathTests,
  budgets: budgetTests,
};

const chromium = Bun.which('chromium');

if (!chromium) console.log('The browser tests are left out: there is no Chromium (Debian: chromium).');
else {
  setDefaultTimeout(30_000);
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch(chromium);
  });
  afterAll(() => browser.close());
  const visit = createVisit(() => browser);
  for (const [name, define] of Object.entries(suites)) describe(name, () => define(visit));
}
