import { openChromiumEngine, test } from '../support/chromium.ts';
import { defineConsoleTests } from '../support/console-engine-tests.ts';

defineConsoleTests(test, Bun.which('chromium') !== null, openChromiumEngine, {
  // browser.test.ts does both in Chromium.
  withoutScripts: [],
  axe: false,
});
