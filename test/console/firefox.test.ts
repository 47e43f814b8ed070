import { defineConsoleTests } from '../support/console-engine-tests.ts';
import { hasFirefox, openFirefox } from '../support/firefox.ts';
import { testWith } from '../support/test-with.ts';

const test = testWith(hasFirefox, 'Firefox (Debian: firefox-esr)');
defineConsoleTests(test, hasFirefox, openFirefox, {
  // It is the quickest.
  withoutScripts: ['order', 'letter', 'selection'],
  axe: true,
});
