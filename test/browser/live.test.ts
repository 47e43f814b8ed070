import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import type { Order } from '../../src/order/order.ts';
import { buildOrder } from '../support/build-order.ts';
import { linkTo, openChromium, test, widths } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import type { Served } from '../support/site.ts';

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
type Watched = { received: string[] };
/** Keeps the orders that the page's worker sends, whether the page shows them or not. */
const watchMessages = () => {
  const received: string[] = [];
  Object.assign(window, { received });
  window.SharedWorker = class extends SharedWorker {
    constructor(...address: ConstructorParameters<typeof SharedWorker>) {
      super(...address);
      this.port.addEventListener('message', ({ data }) => {
        for (const { uid } of data.orders) received.push(uid);
      });
    }
  };
};
const received = (page: Page) => page.evaluate(() => (window as unknown as Watched).received);
const state = (page: Page) => page.locator('#live').getAttribute('data-state');
const connected = (page: Page) => eventually(() => state(page), 'on');

test('an erased order vanishes from the list, also while that is paused', () =>
  visit({ width: 1280, orders }, async ({ page, site }) => {
    await page.goto('/');
    await connected(page);
    for (const order of [first, second, third]) {
      site.publish([order]);
      await eventually(async () => (await listed(page))[0], order.order_uid);
    }
    await page.locator('#live button').click();
    site.erase([second.order_uid]);
    await eventually(() => listed(page), [third.order_uid, first.order_uid]);
    expect(await page.locator('#live').innerHTML()).not.toContain(second.order_uid);
    await page.reload();
    await connected(page);
    await eventually(() => listed(page), [third.order_uid, first.order_uid]);
  }));

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
    await page.addInitScript(watchMessages);
    await page.goto('/');
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
    await page.hover('#live ol');
    await eventually(() => state(page), 'paused');
    site.publish([second]);
    await eventually(() => received(page), [first.order_uid, second.order_uid]);
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
    // The word says it, and a pressed “Resume” would be a contradiction.
    expect(await button.getAttribute('aria-pressed')).toBeNull();
    site.publish([third]);
    await button.click();
    await eventually(() => listed(page), [third.order_uid]);
    expect(await state(page)).toBe('on');
  }));

test('a lost connection is shown, and restored by itself', () =>
  visit({ orders, expected: /ERR_/ }, async ({ page, site }) => {
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

test('a connection that fails at the start is retried', () => {
  let isRefused = true;
  const events = (open: () => Response) => (isRefused ? new Response('{}', { status: 503 }) : open());
  return visit({ orders, events }, async ({ page, site }) => {
    await page.goto('/');
    await eventually(() => state(page), 'off');
    isRefused = false;
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
  });
});

test('all windows share one connection, so that lookups are never behind the live list', () =>
  visit({ orders }, async ({ page, context, site }) => {
    // One more than the connections that a browser opens to a server of HTTP/1.1.
    const windows = [page];
    while (windows.length < 7) windows.push(await context.newPage());
    for (const window of windows) {
      await window.goto('/');
      await connected(window);
    }
    expect(site.streams()).toBe(1);
    site.publish([first]);
    for (const window of windows) await eventually(() => listed(window), [first.order_uid]);
    await windows[6]?.locator('#live a').first().click();
    await windows[6]?.locator('#order').waitFor();
    // A window that is opened later gets what the others have.
    const late = await context.newPage();
    await late.goto('/');
    await eventually(() => listed(late), [first.order_uid]);
    for (const window of windows.slice(1)) await window.close();
    site.publish([second]);
    await eventually(() => listed(late), [second.order_uid, first.order_uid]);
    await page.goto('/order/unknown-order');
    expect(site.streams()).toBe(1);
    await late.goto('/order/unknown-order');
    await eventually(async () => site.streams(), 0);
  }));

/** Publishes the orders one after another, each when the page has the one before. */
const publishAll = async (page: Page, site: Served, orders: readonly Order[]) => {
  for (const order of orders) {
    site.publish([order]);
    await eventually(async () => (await received(page)).at(-1), order.order_uid);
  }
};
const uidsOf = (orders: readonly Order[]) => orders.map(({ order_uid }) => order_uid);

test('an erased order that a paused list holds vanishes within a second, also when newer orders came meanwhile', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.addInitScript(watchMessages);
    await page.goto('/');
    await connected(page);
    await publishAll(page, site, orders.slice(0, 3));
    await eventually(() => listed(page), uidsOf(orders.slice(0, 3).toReversed()));
    await page.locator('#live button').click();
    // More than the server's history has.
    await publishAll(page, site, orders.slice(3, 15));
    expect(site.held()).toEqual(expect.arrayContaining([first.order_uid, second.order_uid]));
    site.erase([first.order_uid, second.order_uid]);
    await eventually(() => listed(page), [third.order_uid]);
    expect(await page.locator('#live').innerHTML()).not.toContain(first.order_uid);
  }));

/** Keeps the least number of rows that were shown, and whether anything in the list was announced. */
const watchRows = () => {
  const rows = [...document.querySelectorAll<HTMLElement>('#live a')];
  const shown = () => rows.filter((row) => !row.hidden).length;
  const seen = { least: shown(), announced: 0 };
  Object.assign(window, { seen });
  const check = () => {
    seen.least = Math.min(seen.least, shown());
    requestAnimationFrame(check);
  };
  check();
  new MutationObserver(() => seen.announced++).observe(document.querySelector('#status') as Node, {
    childList: true,
    characterData: true,
    subtree: true,
  });
};
type Seen = { seen: { least: number; announced: number } };

for (const why of ['hidden', 'disconnected', 'hidden while another window is shown'] as const)
  test(`a list that was ${why} while its orders were erased begins anew, without flicker`, () => {
    let isConnected = true;
    let disconnect = () => {};
    /** Passes a stream on until it is disconnected. */
    const pass = () =>
      new TransformStream<Uint8Array, Uint8Array>({
        start(controller) {
          disconnect = () => controller.terminate();
        },
      });
    const events = (open: () => Response) =>
      isConnected
        ? new Response(open().body?.pipeThrough(pass()), {
            headers: { 'content-type': 'text/event-stream' },
          })
        : new Response('{}', { status: 503 });
    return visit({ orders, events, expected: /ERR_|503/ }, async ({ page, context, site }) => {
      await page.addInitScript(watchMessages);
      await page.goto('/');
      await connected(page);
      await publishAll(page, site, orders.slice(0, 8));
      await eventually(() => listed(page), uidsOf(orders.slice(0, 8).toReversed()));
      const other = why.endsWith('shown') ? await context.newPage() : undefined;
      if (other) {
        await other.goto('/');
        await eventually(async () => (await listed(other)).length, 8);
      }
      if (why === 'disconnected') {
        isConnected = false;
        disconnect();
        await eventually(() => state(page), 'off');
      } else {
        await page.evaluate(setHidden, true);
        if (!other) await eventually(async () => site.streams(), 0);
      }
      site.erase(uidsOf(orders.slice(1, 7)));
      if (other) await eventually(() => listed(other), uidsOf([orders[7], orders[0]] as Order[]));
      await page.evaluate(watchRows);
      isConnected = true;
      await page.evaluate(setHidden, false);
      await eventually(() => listed(page), uidsOf([orders[7], orders[0]] as Order[]));
      await connected(page);
      await eventually(() => page.evaluate(() => (window as unknown as Seen).seen.least), 2);
      const seen = await page.evaluate(() => (window as unknown as Seen).seen);
      expect(seen).toEqual({ least: 2, announced: 0 });
      // Nothing is drawn later that the server has not sent.
      site.publish([orders[8] as Order]);
      await eventually(() => listed(page), uidsOf([orders[8], orders[7], orders[0]] as Order[]));
    });
  });

test('a list whose orders were all erased while it was hidden is empty, also when it is paused', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.addInitScript(watchMessages);
    await page.goto('/');
    await connected(page);
    await publishAll(page, site, orders.slice(0, 2));
    await eventually(async () => (await listed(page)).length, 2);
    await page.locator('#live button').click();
    await page.evaluate(setHidden, true);
    await eventually(async () => site.streams(), 0);
    site.erase(uidsOf(orders));
    await page.evaluate(setHidden, false);
    await eventually(() => listed(page), []);
    expect(await page.locator('#live').innerHTML()).not.toContain(first.order_uid);
  }));

const setHidden = (isHidden: boolean) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event('visibilitychange'));
};

test('a tab that is opened in the background has no connection until it is shown, and none when it is hidden again', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.addInitScript(setHidden, true);
    await page.goto('/');
    await page.fill('#uid', first.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('#order').waitFor();
    expect(site.requested).not.toContain('/events');
    await page.evaluate(setHidden, false);
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
    await page.evaluate(setHidden, true);
    await eventually(async () => site.streams(), 0);
    await page.evaluate(setHidden, false);
    await eventually(async () => site.streams(), 1);
    site.publish([second]);
    await eventually(() => listed(page), [second.order_uid, first.order_uid]);
  }));

test('the list works in a browser without shared workers', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
    await page.goto('/');
    await connected(page);
    site.publish([first]);
    await eventually(() => listed(page), [first.order_uid]);
    expect(site.requested.some((path) => path.includes('/assets/live-'))).toBe(false);
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
    await eventually(async () => (await newest()) > 3000, true, 30_000);
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
  await visit({ orders, liveFeed: false }, async ({ page, site }) => {
    await page.goto('/');
    expect(await page.locator('#live').count()).toBe(0);
    await page.fill('#uid', first.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('#order').waitFor();
    expect(site.requested).not.toContain('/events');
  });
  await visit({ orders, javaScriptEnabled: false }, async ({ page }) => {
    await page.goto('/');
    expect(await page.locator('#live').isVisible()).toBe(false);
  });
});

for (const locale of ['ru-RU', 'en-GB'])
  test(`no sum and no age of the list is cut at any width, in ${locale}`, () =>
    visit({ orders, locale }, async ({ page, site }) => {
      const amounts = [11_617, 9_876_543];
      const listed = amounts.map((amount, index) =>
        buildOrder({ order_uid: `live-amount-${index}`, payment: { currency: 'RUB', amount } }),
      );
      const largest = buildOrder({
        order_uid: 'live-amount-largest',
        payment: { currency: 'RUB', amount: Number.MAX_SAFE_INTEGER },
      });
      await page.addInitScript(watchMessages);
      await page.goto('/');
      await connected(page);
      const cut = (part: string) =>
        page
          .locator(`#live a:not([hidden]) ${part}`)
          .evaluateAll((parts) =>
            parts
              .filter((part) => part.checkVisibility() && part.scrollWidth > part.clientWidth)
              .map(({ textContent }) => textContent),
          );
      await publishAll(page, site, listed);
      for (const width of [320, 340, 360, 375, 390, 414, 480, 641, 768]) {
        await page.setViewportSize({ width, height: 800 });
        for (const part of ['.code', '.money', '.age'])
          expect([width, part, ...(await cut(part))]).toEqual([width, part]);
      }
      site.publish([largest]);
      await page.locator(`#live a[title=${largest.order_uid}]`).waitFor();
      for (const width of [320, 641, 768]) {
        await page.setViewportSize({ width, height: 800 });
        expect([width, ...(await cut('.money'))]).toEqual([width]);
        const gap = await page.locator('#live a:not([hidden])').evaluateAll((rows) =>
          rows.map((row) => {
            const last = [...row.children].findLast((part) => part.checkVisibility());
            return Math.round(row.getBoundingClientRect().right - (last?.getBoundingClientRect().right ?? 0));
          }),
        );
        expect(new Set(gap)).toEqual(new Set([0]));
        expect(await page.evaluate(() => document.body.scrollWidth - document.body.clientWidth)).toBe(0);
      }
    }));

test('the ages of a paused list go on', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.clock.install();
    await page.goto('/');
    await connected(page);
    site.publish([first]);
    await page.clock.runFor(1_000);
    await eventually(() => listed(page), [first.order_uid]);
    await page.locator('#live button').click();
    await page.clock.runFor(125_000);
    await eventually(() => page.locator('#live .age').first().textContent(), '2 min. ago');
  }));
