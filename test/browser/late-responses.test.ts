/** What a slow or failing network delivers late, or never, or in part. */
import { expect } from 'bun:test';
import type { Page, Route } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import { linkTo, openChromium, test } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const orders = ['first-order-0001', 'second-order-001', 'third-order-0001'].map((order_uid) =>
  buildOrder({ order_uid }),
);
const [first, second, third] = orders.map(({ order_uid }) => order_uid) as [string, string, string];

const lookUp = async (page: Page, text: string) => {
  await page.fill('#uid', text);
  await page.press('#uid', 'Enter');
};
const isShown = (page: Page, uid: string) =>
  eventually(() => page.locator('#order').allTextContents(), [uid]);
const announced = (page: Page) => page.locator('#status').textContent();
const focused = (page: Page) => page.evaluate(() => document.activeElement?.id ?? '');
const addressOf = (page: Page) => new URL(page.url()).search;

/** Two orders have been looked up, and the first page was empty. */
const lookUpBoth = async (page: Page) => {
  await page.goto('/');
  for (const uid of [first, second]) {
    await lookUp(page, uid);
    await isShown(page, uid);
  }
};

const tooMany = Array.from({ length: 101 }, (_, index) => `many-orders-${index}`).join(' ');

test('a lookup that too many numbers overtake is given up, and the page no longer searches', () =>
  visit({ orders, liveFeed: false }, async ({ page, site }) => {
    await page.clock.install();
    await page.goto('/');
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    const aborted = page.waitForEvent('requestfailed');
    await lookUp(page, first);
    await eventually(async () => site.lookups, 1);
    await lookUp(page, tooMany);
    await page.clock.runFor(1_000);
    expect(await announced(page)).toStartWith('Too many numbers.');
    expect(await page.getAttribute('#result', 'aria-busy')).toBeNull();
    expect((await aborted).url()).toEndWith(linkTo(first));
    slow.resolve();
    expect(await page.locator('[data-state=tooMany]').count()).toBe(1);
    expect(await page.inputValue('#uid')).toBe(tooMany);
  }));

test('a page that Back leads to is given up when another order is looked up', () =>
  visit({ orders }, async ({ page, site }) => {
    await lookUpBoth(page);
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    const { lookups } = site;
    const aborted = page.waitForEvent('requestfailed');
    await page.evaluate('history.back()');
    await eventually(async () => site.lookups, lookups + 1);
    site.before = Promise.resolve();
    await lookUp(page, third);
    await isShown(page, third);
    slow.resolve();
    expect((await aborted).url()).toEndWith(linkTo(first));
    expect(await page.locator('#order').textContent()).toBe(third);
    expect(addressOf(page)).toBe(`?uid=${third}`);
    await page.goBack();
    await isShown(page, first);
  }));

test('a page that Back leads to fails after 15 seconds without a response, as a lookup does', () =>
  visit({ orders, expected: /htmx:/, liveFeed: false }, async ({ page, site }) => {
    await page.clock.install();
    await lookUpBoth(page);
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    const { lookups } = site;
    await page.evaluate('history.back()');
    await eventually(async () => {
      await page.clock.runFor(10);
      return site.lookups;
    }, lookups + 1);
    await page.clock.runFor(15_000);
    await page.locator('[data-state=failed]').waitFor();
    expect(addressOf(page)).toBe(`?uid=${first}`);
    expect(await page.getAttribute('#result', 'aria-busy')).toBeNull();
    site.before = Promise.resolve();
    await page.click('[data-retry]');
    await isShown(page, first);
    slow.resolve();
  }));

test('a link to another language during a lookup leads to its order, and Back to the order before', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto(linkTo(first));
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    await lookUp(page, second);
    await eventually(async () => site.lookups, 2);
    site.before = Promise.resolve();
    await page.click('[hreflang=ru]');
    await page.waitForURL(linkTo(second));
    await isShown(page, second);
    expect(await page.getAttribute('html', 'lang')).toBe('ru');
    await page.goBack();
    await isShown(page, first);
    slow.resolve();
  }));

test('a text that failed to be looked up and is repeated has one entry in the history', () =>
  visit({ orders, expected: /status of 502|htmx:/ }, async ({ page }) => {
    await page.goto(linkTo(first));
    await page.route('**/?uid=*', (route) => route.fulfill({ status: 502, body: 'Bad gateway' }), {
      times: 1,
    });
    await lookUp(page, `«${second}»`);
    await page.click('[data-retry]');
    await isShown(page, second);
    await page.goBack();
    await isShown(page, first);
  }));

test('Back leaves the focus where it is, unless that was in the order', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(first));
    for (const id of ['uid', 'order']) {
      await lookUp(page, second);
      await isShown(page, second);
      await page.focus(`#${id}`);
      await page.evaluate('history.back()');
      await isShown(page, first);
      // At the end of the traversal Chromium resets the focus.
      await eventually(() => page.evaluate('navigation.transition === null'), true);
      expect(await focused(page)).toBe(id);
    }
  }));

test('Back over the entry of the skip link leads to the order of the address', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(first));
    await page.focus('.skip');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/*#result');
    await lookUp(page, second);
    await isShown(page, second);
    await page.evaluate('history.go(-2)');
    await isShown(page, first);
    expect(addressOf(page)).toBe(`?uid=${first}`);
  }));

test('an order whose response is cut off is not shown', () =>
  visit({ orders, expected: /htmx:/ }, async ({ page }) => {
    await page.goto('/');
    await page.route(
      '**/?uid=*',
      async (route) => {
        const response = await route.fetch();
        const text = await response.text();
        await route.fulfill({ response, body: text.slice(0, text.length / 2) });
      },
      { times: 1 },
    );
    await lookUp(page, first);
    await page.locator('[data-state=failed]').waitFor();
    expect(await page.locator('#order').count()).toBe(0);
    await page.click('[data-retry]');
    await isShown(page, first);
  }));

for (const how of ['with', 'without'])
  test(`an order that is copied slowly takes the focus from nothing, and is not announced over another, ${how} the clipboard API`, () =>
    visit({ orders }, async ({ page }) => {
      if (how === 'without') await page.addInitScript('delete Navigator.prototype.clipboard');
      await page.goto(linkTo(first));
      const held: Route[] = [];
      await page.route('**/order/*', (route) => void held.push(route));
      await page.click('[data-copy-from]');
      await eventually(async () => held.length, 1);
      await page.focus('#uid');
      await held[0]?.continue();
      await eventually(() => announced(page), 'Copied');
      expect(await focused(page)).toBe('uid');

      await page.goto(linkTo(first));
      await page.click('[data-copy-from]');
      await eventually(async () => held.length, 2);
      await lookUp(page, second);
      await isShown(page, second);
      const answered = page.waitForResponse('**/order/*');
      await held[1]?.continue();
      await (await answered).finished();
      // The copy ends in tasks of the page.
      await page.evaluate('new Promise((resolve) => setTimeout(resolve, 100))');
      expect(await announced(page)).toBe(`Order ${second} found.`);
      expect(await focused(page)).toBe('order');
    }));

test('back online, a page that Back leads to is not looked up once more', () =>
  visit({ orders, expected: /ERR_INTERNET_DISCONNECTED|htmx:/ }, async ({ page, context, site }) => {
    await lookUpBoth(page);
    await context.setOffline(true);
    await lookUp(page, 'no-such-order');
    await page.locator('[data-state=offline]').waitFor();
    const held = Promise.withResolvers<Route>();
    await page.route('**/*', (route) =>
      'hx-history-restore-request' in route.request().headers() ? held.resolve(route) : route.continue(),
    );
    await page.evaluate('history.back()');
    const route = await held.promise;
    const { lookups } = site;
    await context.setOffline(false);
    await route.continue();
    await isShown(page, second);
    expect(site.lookups).toBe(lookups + 1);
  }));

test('a page that comes back from the browser’s memory lists what has been looked up since, or cleared', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(first));
    expect(await page.locator('#recent a').count()).toBe(1);
    await page.evaluate(`localStorage.removeItem('recent')`);
    await page.evaluate(`dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))`);
    expect(await page.locator('#recent a').count()).toBe(0);
  }));
