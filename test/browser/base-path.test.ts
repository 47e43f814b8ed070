import { expect } from 'bun:test';
import { buildOrder } from '../support/build-order.ts';
import { openChromium, test } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const orders = ['first', 'second'].map((name) => buildOrder({ order_uid: `${name}-order-below` }));
const [first, second] = orders as [(typeof orders)[0], (typeof orders)[0]];
const basePath = '/lookup';

for (const javaScriptEnabled of [true, false]) {
  test(`every link, asset and form stays below BASE_PATH, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, () =>
    visit({ basePath, docs: true, orders, javaScriptEnabled }, async ({ page, context, site, requests }) => {
      await page.goto('/lookup');
      expect(page.url()).toBe(`${site.origin}/lookup/`);
      await page.fill('#uid', first.order_uid);
      await page.keyboard.press('Enter');
      await page.waitForURL(`/lookup/?uid=${first.order_uid}`);
      await page.locator('#order').waitFor();
      await page.click('[hreflang=ru]');
      await page.locator('html[lang=ru]').waitFor();
      expect(page.url()).toBe(`${site.origin}/lookup/?uid=${first.order_uid}`);
      await page.locator('[data-setting=theme]:visible').click();
      await page.locator('html[data-theme]').waitFor();
      const cookies = await context.cookies(`${site.origin}/lookup/`);
      expect([...new Set(cookies.map(({ path }) => path))]).toEqual([basePath]);
      expect(cookies.map(({ name }) => name)).toContain('theme');
      await page.click('.order-foot a');
      await page.waitForURL(`/lookup/order/${first.order_uid}`);
      await page.goBack();
      await page.click('h1 a');
      await page.waitForURL('/lookup/');
      await page.click('[href=swagger]');
      await page.waitForURL('/lookup/swagger');
      if (javaScriptEnabled) {
        await page.locator('.opblock').first().waitFor();
        expect(await page.locator('.servers option').allTextContents()).toEqual(['/lookup - This server']);
      }
      const outside = requests.map((request) => new URL(request.url()).pathname);
      expect(outside.filter((path) => path !== basePath && !path.startsWith(`${basePath}/`))).toEqual([]);
    }));
}

test('the live list, the recent orders, Back and the copied JSON work below BASE_PATH', () =>
  visit({ basePath, orders }, async ({ page, site }) => {
    await page.goto('/lookup/');
    await eventually(() => page.locator('#live').getAttribute('data-state'), 'on');
    site.publish([first]);
    await page.locator('#live a:not([hidden])').first().click();
    await page.waitForURL(`/lookup/?uid=${first.order_uid}`);
    await page.fill('#uid', second.order_uid);
    await page.keyboard.press('Enter');
    await page.waitForURL(`/lookup/?uid=${second.order_uid}`);
    await page.locator('#recent a').nth(1).click();
    await page.waitForURL(`/lookup/?uid=${first.order_uid}`);
    await page.goBack();
    await page.waitForURL(`/lookup/?uid=${second.order_uid}`);
    await eventually(() => page.locator('#order').textContent(), second.order_uid);
    await page.click('[data-copy-from]');
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await eventually(async () => (await copied()) === JSON.stringify(second, null, 2), true);
    // The worker's too, which are no requests of the page.
    expect(site.requested).toContain(`${basePath}/events`);
    expect(site.requested.filter((path) => !path.startsWith(`${basePath}/`))).toEqual([]);
  }));
