import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import { linkTo, openChromium, test, widths } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const orders = Array.from({ length: 20 }, (_, index) =>
  buildOrder({ order_uid: `live-order-${String(index).padStart(4, '0')}` }),
);
const [first, second, third] = orders as [(typeof orders)[0], (typeof orders)[0], (typeof orders)[0]];

/** A hundred orders each tenth of a second, without sampling. */
const flood = () => {
  let sent = 0;
  let timer: Timer;
  const stream = new ReadableStream<string>({
    start(controller) {
      timer = setInterval(() => {
        const stored = new Date().toISOString();
        const order = { placed: stored, items: 2, amount: 5, currency: 'RUB', stored };
        for (let n = 0; n < 100; n++)
          controller.enqueue(`data: ${JSON.stringify({ uid: `flood-order-${sent++}`, ...order })}\n\n`);
      }, 100);
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(stream.pipeThrough(new TextEncoderStream()), {
    headers: { 'content-type': 'text/event-stream' },
  });
};

const listed = (page: Page) =>
  page
    .locator('#live a:not([hidden])')
    .evaluateAll((links) => links.map((link) => link.getAttribute('title')));
const state = (page: Page) => page.locator('#live').getAttribute('data-state');
const connected = (page: Page) => eventually(() => state(page), 'on');

for (const width of widths) {
  test(`the newest orders appear by themselves, and one click opens one, at ${width} px`, () =>
    visit({ width, orders }, async ({ page, site }) => {
      await page.goto('/');
      await connected(page);
      site.publish([first]);
      await eventually(() => listed(page), [first.order_uid]);
      site.publish([second]);
      await eventually(() => listed(page), [second.order_uid, first.order_uid]);
      const row = await page.locator('#live a').first().textContent();
      const sum = new Intl.NumberFormat('en', {
        style: 'currency',
        currencyDisplay: 'narrowSymbol',
        currency: second.payment.currency,
        trailingZeroDisplay: 'stripIfInteger',
      });
      expect(row).toContain('live…-0001');
      expect(row).toContain(sum.format(second.payment.amount));
      await page.locator('#live a').last().waitFor({ state: 'hidden' });
      await page.locator('#live a').nth(1).click();
      await page.waitForURL(linkTo(first.order_uid));
      expect(await page.locator('#order').textContent()).toBe(first.order_uid);
    }));
}

test('a currency without an ISO 4217 code follows its amount', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    await connected(page);
    const order = buildOrder({
      order_uid: 'live-order-usdt',
      payment: { currency: 'USDT', amount: 1_500 },
    });
    site.publish([order]);
    await eventually(() => listed(page), [order.order_uid]);
    expect(await page.locator('#live a').first().textContent()).toContain('1,500 USDT');
  }));

test('the list pauses under the pointer and under the focus, and resumes afterwards', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
    await page.hover('#live ol');
    await eventually(() => state(page), 'paused');
    const received = page.evaluate(() => {
      const { promise, resolve } = Promise.withResolvers<void>();
      document.addEventListener('htmx:sse:before:message', () => resolve(), { once: true });
      return promise;
    });
    site.publish([second]);
    await received;
    expect(await listed(page)).toEqual([first.order_uid]);
    await page.focus('#live a');
    await page.mouse.move(0, 0);
    expect(await state(page)).toBe('paused');
    await page.focus('#uid');
    await eventually(() => listed(page), [second.order_uid, first.order_uid]);
  }));

test('a pointer that rests on the empty list does not keep it empty', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    await connected(page);
    await page.hover('#live ol');
    expect(await state(page)).toBe('on');
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
    expect(await state(page)).toBe('paused');
  }));

test('the list can be paused by a button', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    await connected(page);
    const button = page.locator('#live button');
    await button.click();
    expect(await state(page)).toBe('paused');
    expect(await button.textContent()).toBe('Resume');
    site.publish([third]);
    await button.click();
    await eventually(() => listed(page), [third.order_uid]);
    expect(await state(page)).toBe('on');
  }));

test('a lost connection is shown, and restored by itself', () =>
  visit({ orders, expected: /ERR_|htmx:/ }, async ({ page, site }) => {
    await page.goto('/');
    await connected(page);
    await site.stop();
    await eventually(() => state(page), 'off');
    expect(await page.locator('#live .state').textContent()).toContain('not connected');
    site.start();
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
  }));

test('a connection that fails at the start is retried', () =>
  visit({ orders, expected: /status of 503|htmx:/ }, async ({ page, site }) => {
    await page.route('**/events', (route) => route.fulfill({ status: 503, body: '{}' }), { times: 1 });
    await page.goto('/');
    await eventually(() => state(page), 'off');
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
  }));

test('a thousand orders a second, unsampled, leave the page smooth: a lookup works, nothing moves, no task is long', () =>
  visit({ orders, events: flood }, async ({ page }) => {
    await page.addInitScript(() => {
      const seen = { long: 0, shift: 0 };
      Object.assign(window, { seen });
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) seen.long = Math.max(seen.long, duration);
      }).observe({ type: 'longtask' });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) seen.shift += (entry as unknown as { value: number }).value;
      }).observe({ type: 'layout-shift' });
    });
    await page.goto('/');
    const newest = async () => Number((await listed(page))[0]?.split('-').at(-1) ?? 0);
    await eventually(async () => (await newest()) > 3000, true, 15_000);
    expect((await listed(page)).length).toBe(8);
    const seen = await page.evaluate(
      () => (window as unknown as { seen: { long: number; shift: number } }).seen,
    );
    expect(seen.shift).toBe(0);
    expect(seen.long).toBeLessThan(500);
    await page.fill('#uid', first.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('#order').waitFor();
  }));

test('there is no live list when it is off, or without JavaScript', async () => {
  await visit({ orders, liveFeed: false }, async ({ page, requests }) => {
    await page.goto('/');
    expect(await page.locator('#live').count()).toBe(0);
    await page.fill('#uid', first.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('#order').waitFor();
    expect(requests.some((request) => request.url().endsWith('/events'))).toBe(false);
  });
  await visit({ orders, javaScriptEnabled: false }, async ({ page }) => {
    await page.goto('/');
    expect(await page.locator('#live').isVisible()).toBe(false);
  });
});
