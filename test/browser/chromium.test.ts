import { openChromiumEngine, test } from '../support/chromium.ts';
import { defineEngineTests } from '../support/engine-tests.ts';

defineEngineTests(test, Bun.which('chromium') !== null, openChromiumEngine);
