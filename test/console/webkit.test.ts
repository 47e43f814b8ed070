import { defineConsoleTests } from '../support/console-engine-tests.ts';
import { testWith } from '../support/test-with.ts';
import { hasWebkit, openWebkit } from '../support/webkit.ts';

const test = testWith(hasWebkit, 'WebKitGTK and Xvfb (Debian: webkit2gtk-driver, xvfb)');
defineConsoleTests(test, hasWebkit, openWebkit, {
  // The one that sends lines of text, which browsers may end in different ways.
  withoutScripts: ['letter'],
  axe: false,
});
