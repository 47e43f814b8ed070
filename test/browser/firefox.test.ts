import { expect } from 'bun:test';
import { connected, defineEngineTests, isShown } from '../support/engine-tests.ts';
import { eventually } from '../support/eventually.ts';
import { hasFirefox, openFirefox } from '../support/firefox.ts';
import { testWith } from '../support/test-with.ts';

const test = testWith(hasFirefox, 'Firefox (Debian: firefox-esr)');
const world = defineEngineTests(test, hasFirefox, openFirefox);

test('a tab that is opened in the background has no connection until it is shown', async () => {
  const { engine, site } = world;
  await eventually(async () => site.streams(), 0);
  const tab = await engine.openHiddenTab();
  await tab.goto(`${site.origin}/?uid=long-order-0001`);
  expect(await tab.evaluate<boolean>('document.hidden')).toBe(true);
  await isShown(tab, 'long-order-0001');
  // Longer than a connection takes, which would be made as the page is loaded.
  for (let request = 0; request < 20; request++)
    await tab.evaluate(`fetch('./', { cache: 'no-store' }).then((answer) => answer.text())`);
  expect(site.streams()).toBe(0);
  await tab.show();
  await connected(tab);
  expect(site.streams()).toBe(1);
  await tab.close();
});
