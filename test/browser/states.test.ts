import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import {
  atEveryWidth,
  linkTo,
  openChromium,
  test,
  widths,
  withAndWithoutScript,
} from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const order = buildOrder();
/** One that no lookup has cached yet. */
const orderAt = (width: number) => buildOrder({ order_uid: `order-at-${width}-px` });
const orders = [order, ...widths.map(orderAt)];

const focused = (page: Page) => page.evaluate(() => document.activeElement?.id ?? '');
const announced = (page: Page) => page.locator('#status').textContent();
const lookUp = async (page: Page, uid: string) => {
  await page.fill('#uid', uid);
  await page.keyboard.press('Enter');
};

for (const { javaScriptEnabled, how } of withAndWithoutScript) {
  test(`a message says what happened and what to do, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page, site }) => {
      await page.goto('/');
      expect(await page.locator('.hint').first().textContent()).toContain(
        'Paste an order number and press Enter.',
      );
      const cases = [
        { uid: 'no-such-order', heading: 'No order has this number.', focus: 'uid' },
        { uid: 'short', heading: 'This is not an order number.', focus: 'uid' },
        { uid: `${'x'.repeat(51)}`, heading: 'This is not an order number.', focus: 'uid' },
        { uid: 'down-order-1', heading: 'Orders are temporarily unavailable.', focus: 'uid' },
      ];
      for (const { uid, heading, focus } of cases) {
        site.down = uid.startsWith('down');
        await lookUp(page, uid);
        await page.waitForURL(linkTo(uid));
        await atEveryWidth(page, async () => {
          // biome-ignore lint/performance/useDomNodeTextContent: as it is laid out
          expect(await page.locator('.message h2').innerText()).toBe(heading);
          // biome-ignore lint/performance/useDomNodeTextContent: as it is laid out
          const advice = await page.locator('#message').innerText();
          expect(advice).toEndWith('.');
          expect(await page.inputValue('#uid')).toBe(uid);
          expect(await page.getAttribute('#uid', 'aria-describedby')).toBe('message');
          expect(await focused(page)).toBe(focus);
          if (javaScriptEnabled) expect(await announced(page)).toBe(`${heading} ${advice}`);
        });
      }
      site.down = false;
      await lookUp(page, order.order_uid);
      await page.waitForURL(linkTo(order.order_uid));
      expect(await page.locator('#order').textContent()).toBe(order.order_uid);
      expect(await page.getAttribute('#uid', 'aria-describedby')).toBe(null);
      expect(await page.getAttribute('#uid', 'aria-invalid')).toBe(null);
    }));

  test(`a lookup that was unavailable can be repeated, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page, site }) => {
      await atEveryWidth(page, async (width) => {
        const { order_uid } = orderAt(width);
        site.down = true;
        const answer = await page.goto(linkTo(order_uid));
        expect(answer?.status()).toBe(503);
        expect(answer?.headers()['retry-after']).toBe('2');
        site.down = false;
        await page.click('[data-retry]');
        await page.locator('#order').waitFor();
      });
    }));
}

test('an order that is found has the focus and is announced', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    await lookUp(page, order.order_uid);
    await page.locator('#order').waitFor();
    expect(await focused(page)).toBe('order');
    expect(await announced(page)).toBe(`Order ${order.order_uid} found.`);
  }));

test('after 150 ms, and not before, the page says that it is searching', () =>
  visit({ orders, liveFeed: false }, async ({ page, site }) => {
    await page.clock.install();
    await page.goto('/');
    await page.clock.runFor(10);
    await page.clock.pauseAt(Date.now() + 3_600_000);
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    await lookUp(page, order.order_uid);
    await eventually(async () => site.lookups, 1);
    const busy = async () => [await announced(page), await page.getAttribute('#result', 'aria-busy')];
    await page.clock.runFor(149);
    expect(await busy()).toEqual(['', null]);
    await page.clock.runFor(1);
    expect(await busy()).toEqual(['Searching…', 'true']);
    slow.resolve();
    await page.locator('#order').waitFor();
    await eventually(busy, [`Order ${order.order_uid} found.`, null]);
  }));

test('offline has its own message, and the lookup is repeated when the network is back', () =>
  visit({ orders, expected: /ERR_INTERNET_DISCONNECTED|htmx:/ }, async ({ page }) => {
    await page.goto('/');
    await page.context().setOffline(true);
    await lookUp(page, order.order_uid);
    await page.locator('[data-state=offline]').waitFor();
    expect(await announced(page)).toContain('You are offline.');
    await page.context().setOffline(false);
    await page.locator('#order').waitFor();
    expect(new URL(page.url()).searchParams.get('uid')).toBe(order.order_uid);
  }));

test('a response that is not the page’s own is never shown; the lookup can be repeated', () =>
  visit({ orders, expected: /status of (429|502)|htmx:/ }, async ({ page }) => {
    await page.goto('/');
    const problem = { contentType: 'application/problem+json', body: '{"title":"Too many requests"}' };
    const refusals = [
      { state: 'failed', status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' },
      { state: 'tooOften', status: 429, headers: { 'retry-after': '7' }, ...problem },
    ];
    for (const { state, ...refusal } of refusals) {
      await page.route('**/?uid=*', (route) => route.fulfill(refusal));
      await lookUp(page, order.order_uid);
      await page.locator(`[data-state=${state}]`).waitFor();
      if (state === 'tooOften') expect(await announced(page)).toContain('Try again in 7 s.');
      expect(await page.locator('#result').textContent()).not.toMatch(/gateway|title/);
      await page.unroute('**/?uid=*');
      await page.click('[data-retry]');
      await page.locator('#order').waitFor();
    }
  }));

test('after a lookup that failed title and address are its own, so that a reload repeats it and Back leads to the order before', () =>
  visit({ orders, expected: /status of 502|htmx:/ }, async ({ page }) => {
    const other = orderAt(360).order_uid;
    await page.goto(linkTo(order.order_uid));
    await page.route('**/?uid=*', (route) => route.fulfill({ status: 502, body: 'Bad gateway' }));
    await lookUp(page, other);
    await page.locator('[data-state=failed]').waitFor();
    expect(await page.title()).toBe('The lookup failed · Order Lookup');
    expect(page.url()).toEndWith(linkTo(other));
    expect(await page.getAttribute('[hreflang=ru]', 'href')).toBe(`./?uid=${other}&lang=ru`);
    await page.unroute('**/?uid=*');
    await page.reload();
    expect(await page.locator('#order').textContent()).toBe(other);
    await page.goBack();
    await eventually(() => page.locator('#order').textContent(), order.order_uid);
  }));

test('what is typed while a lookup runs stays, and keeps the focus', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    await lookUp(page, order.order_uid);
    await eventually(async () => site.lookups, 1);
    await page.fill('#uid', 'half-typ');
    slow.resolve();
    await page.locator('#order').waitFor();
    await page.keyboard.type('ed');
    expect(await page.inputValue('#uid')).toBe('half-typed');
    expect(page.url()).toEndWith(linkTo(order.order_uid));
  }));

test('back online, the lookup is repeated that was made offline, and not what is half typed', () =>
  visit({ orders, expected: /ERR_INTERNET_DISCONNECTED|htmx:/ }, async ({ page }) => {
    await page.goto('/');
    await page.context().setOffline(true);
    await lookUp(page, order.order_uid);
    await page.locator('[data-state=offline]').waitFor();
    await page.fill('#uid', 'half-typed');
    await page.context().setOffline(false);
    await page.locator('#order').waitFor();
    expect(await page.locator('#order').textContent()).toBe(order.order_uid);
    expect(await page.inputValue('#uid')).toBe('half-typed');
  }));
