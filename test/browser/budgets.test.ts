import { expect } from 'bun:test';
import type { CDPSession, Page } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import { linkTo, openChromium, test, widths } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const orders = Array.from({ length: 12 }, (_, index) =>
  buildOrder({ order_uid: `budget-order-${String(index).padStart(3, '0')}` }),
);
const order = orders[0] as (typeof orders)[0];

const [item] = order.items as [(typeof order.items)[0]];
const large = buildOrder({ order_uid: 'thousand-items', items: Array.from({ length: 1000 }, () => item) });

const fifty = buildOrder({ order_uid: 'fifty-items-1', items: large.items.slice(0, 50) });

const watchShifts = () => {
  const seen = { shift: 0 };
  Object.assign(window, { seen });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) seen.shift += (entry as unknown as { value: number }).value;
  }).observe({ type: 'layout-shift' });
};

for (const path of ['/', linkTo(order.order_uid)]) {
  test(`a first visit to ${path} takes five requests and less than 35 kB over the wire, htmx included`, () =>
    visit({ orders }, async ({ page, site }) => {
      const session = await page.context().newCDPSession(page);
      await session.send('Network.enable');
      const sizes: number[] = [];
      session.on('Network.loadingFinished', ({ encodedDataLength }) => sizes.push(encodedDataLength));
      await page.goto(path);
      await page.waitForLoadState('load');
      site.publish([order]);
      await page.locator('#live a:not([hidden])').first().waitFor();
      const paths = site.requested.map((path) => path.replace(/-\w+\./, '.'));
      expect(paths.sort()).toEqual([
        '/',
        '/assets/icon.svg',
        '/assets/live.js',
        '/assets/page.js',
        '/events',
      ]);
      // All but the live list's connection, which does not end, and its worker, which this page's session does not see: less than 1 kB.
      await eventually(async () => sizes.length, 3);
      const bytes = sizes.reduce((sum, size) => sum + size);
      expect(bytes).toBeGreaterThan(20_000);
      expect(bytes).toBeLessThan(34_000);
    }));
}

test('on a slow network the first paint takes one round trip', () =>
  visit({ orders }, async ({ page }) => {
    const roundTripMs = 2_000;
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    await session.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: roundTripMs,
      downloadThroughput: 50_000,
      uploadThroughput: 50_000,
    });
    await page.goto(linkTo(order.order_uid), { waitUntil: 'commit' });
    const paint = () =>
      page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0);
    await eventually(async () => (await paint()) > 0, true, 30_000);
    expect(await paint()).toBeGreaterThan(roundTripMs);
    expect(await paint()).toBeLessThan(2 * roundTripMs);
  }));

for (const width of widths) {
  test(`nothing moves while the page loads, orders stream in and one is looked up, at ${width} px`, () =>
    visit({ width, orders }, async ({ page, site }) => {
      await page.addInitScript(watchShifts);
      const shift = () => page.evaluate(() => (window as unknown as { seen: { shift: number } }).seen.shift);
      await page.goto(linkTo(order.order_uid));
      for (const [index, { order_uid }] of orders.entries()) {
        site.publish([orders[index] as typeof order]);
        await eventually(() => page.locator('#live a').first().getAttribute('title'), order_uid);
      }
      // An age is aligned to the right, so it starts elsewhere when it gets longer: the browser reports 0.00005 now and then. A row
      // that moved by its height would be 0.002.
      expect(await shift()).toBeLessThan(0.000_5);
      await page.goto('/');
      const places = () =>
        page.evaluate(() =>
          ['#lookup', '#recent', '#result'].map(
            (part) => document.querySelector(part)?.getBoundingClientRect().top,
          ),
        );
      const before = await places();
      await page.fill('#uid', order.order_uid);
      await page.keyboard.press('Enter');
      await page.locator('#order').waitFor();
      expect(await places()).toEqual(before);
    }));
}

test('of a thousand items only those in view are laid out, and the technical table is built when it is opened', () =>
  visit({ orders: [large] }, async ({ page }) => {
    const cells = page.locator('.technical td');
    for (const openOrder of [
      () => page.goto(linkTo(large.order_uid)),
      async () => {
        await page.goto('/');
        await page.fill('#uid', large.order_uid);
        await page.keyboard.press('Enter');
      },
    ]) {
      await openOrder();
      await page.locator('#order').waitFor();
      expect(await page.locator('.items tbody tr').count()).toBe(1000);
      const isLaidOut = (row: number) =>
        page
          .locator('.items tbody tr')
          .nth(row)
          .locator('bdi')
          .first()
          .evaluate((name) => name.checkVisibility({ contentVisibilityAuto: true }));
      expect(await isLaidOut(0)).toBe(true);
      expect(await isLaidOut(900)).toBe(false);
      expect(await page.evaluate(() => document.querySelectorAll('.technical td').length)).toBe(0);
      // By keyboard: rows get their true height when they come into view, which moves what a click aims at.
      await page.locator('.technical summary').press('Enter');
      await cells.last().waitFor();
      expect(await cells.count()).toBe(6000);
      expect(await page.locator('.technical :is(noscript, [data-html])').count()).toBe(0);
    }
  }));

type TraceEvent = { name: string; args: { beginData?: { totalObjects: number } } };

/** How many boxes the largest layout had in view of it. */
const boxesOf = async (page: Page, act: () => Promise<void>) => {
  const session = (await page.context().browser()?.newBrowserCDPSession()) as CDPSession;
  const layouts: number[] = [];
  session.on('Tracing.dataCollected', ({ value }) => {
    for (const { name, args } of value as unknown as TraceEvent[])
      if (name === 'Layout') layouts.push(args.beginData?.totalObjects ?? 0);
  });
  const traceConfig = { includedCategories: ['devtools.timeline'] };
  await session.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig });
  await act();
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  await session.detach();
  return Math.max(...layouts);
};

test('a thousand items that are looked up take less than twice the boxes of fifty and ten elements each, and htmx does not search them', () =>
  visit({ orders: [large, fifty], liveFeed: false }, async ({ page }) => {
    const lookUp = (uid: string) => async () => {
      await page.goto('/');
      await page.evaluate(() =>
        document.addEventListener('htmx:before:process', ({ target }) => {
          if (target !== document.body) document.body.dataset.searched = (target as Element).tagName;
        }),
      );
      await page.fill('#uid', uid);
      await page.keyboard.press('Enter');
      await eventually(() => page.locator('#order').textContent(), uid);
    };
    const few = await boxesOf(page, lookUp(fifty.order_uid));
    const elements = () => page.evaluate(() => document.querySelectorAll('#result *').length);
    const fewElements = await elements();
    expect(await boxesOf(page, lookUp(large.order_uid))).toBeLessThan(2 * few);
    expect((await elements()) - fewElements).toBeLessThan(950 * 11);
    expect(await page.getAttribute('body', 'data-searched')).toBeNull();
  }));

test('a second visit requests only the page', () =>
  visit({ orders, liveFeed: false }, async ({ page, requests }) => {
    await page.goto('/');
    await page.waitForLoadState('load');
    requests.length = 0;
    const fromNetwork: string[] = [];
    page.on('response', async (response) => {
      const { responseStart } = response.request().timing();
      if (responseStart > 0) fromNetwork.push(new URL(response.url()).pathname);
    });
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    const cached: string[] = [];
    session.on('Network.requestServedFromCache', ({ requestId }) => cached.push(requestId));
    await page.goto(linkTo(order.order_uid));
    await page.waitForLoadState('load');
    expect(cached.length).toBeGreaterThanOrEqual(1);
  }));
