import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import { atEveryWidth, linkTo, openChromium, test, withAndWithoutScript } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const first = buildOrder();
const second = buildOrder({ order_uid: 'second-order-0001' });
const odd = buildOrder({ order_uid: `"a/b?c#d&e=%20+;ё\\'<i>&lt;` });
const quoted = buildOrder({ order_uid: `"${first.order_uid}"` });
const orders = [first, second, odd];

const shownUid = (page: Page) => page.locator('#order').textContent();

for (const { javaScriptEnabled, how } of withAndWithoutScript) {
  test(`a number shows its order and its address, spaces and quotes around it or not, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page, requests }) => {
      await atEveryWidth(page, async () => {
        await page.goto('/');
        requests.length = 0;
        await page.fill('#uid', first.order_uid);
        await page.keyboard.press('Enter');
        await page.waitForURL(linkTo(first.order_uid));
        expect(await shownUid(page)).toBe(first.order_uid);
        expect(await page.title()).toContain(first.order_uid);
        await page.fill('#uid', odd.order_uid);
        await page.click('button[type=submit]');
        await page.waitForURL((url) => url.searchParams.get('uid') === odd.order_uid);
        expect(await shownUid(page)).toBe(odd.order_uid);
        await page.fill('#uid', `  «"${first.order_uid}"»\u200b `);
        await page.keyboard.press('Enter');
        await page.waitForURL(linkTo(first.order_uid));
        expect(await shownUid(page)).toBe(first.order_uid);
        const documents = requests.filter((request) => request.isNavigationRequest());
        // The last one is redirected.
        expect(documents.length).toBe(javaScriptEnabled ? 0 : 4);
      });
    }));

  test(`a shared link shows its order, also where the number needs escaping, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page }) => {
      for (const { order_uid } of orders) {
        await page.goto(linkTo(order_uid));
        await atEveryWidth(page, async () => {
          expect(await shownUid(page)).toBe(order_uid);
          expect(await page.inputValue('#uid')).toBe(order_uid);
        });
      }
    }));

  test(`Back and Forward go through the orders, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page }) => {
      await page.goto('/');
      for (const { order_uid } of [first, second]) {
        await page.fill('#uid', order_uid);
        await page.keyboard.press('Enter');
        await page.waitForURL(linkTo(order_uid));
      }
      const shown = async () => [
        await page.locator('#order').allInnerTexts(),
        await page.inputValue('#uid'),
        (await page.title()).split(' ')[0],
      ];
      await atEveryWidth(page, async () => {
        await page.goBack();
        await eventually(shown, [[first.order_uid], first.order_uid, first.order_uid]);
        await page.goBack();
        await eventually(shown, [[], '', 'Order']);
        await page.goForward();
        await page.goForward();
        await eventually(shown, [[second.order_uid], second.order_uid, second.order_uid]);
      });
    }));
}

test('spaces around a pasted number are removed, and quotes unless they are its own', () =>
  visit({ orders: [...orders, quoted] }, async ({ page }) => {
    await page.goto('/');
    const paste = async (text: string) => {
      await page.evaluate((text) => navigator.clipboard.writeText(text), text);
      await page.locator('#uid').selectText();
      await page.keyboard.press('Control+V');
    };
    await paste(` \u200b${first.order_uid} `);
    expect(await page.inputValue('#uid')).toBe(first.order_uid);
    for (const [text, { order_uid }] of [
      [` "${second.order_uid}" `, second],
      [quoted.order_uid, quoted],
    ] as const) {
      await paste(text);
      await page.keyboard.press('Enter');
      await page.waitForURL(linkTo(order_uid));
      expect(await page.inputValue('#uid')).toBe(order_uid);
    }
  }));

test('the link to several orders, copied and pasted, opens all of them', () =>
  visit({ orders }, async ({ page }) => {
    const address = `/?uid=${first.order_uid}&uid=${second.order_uid}`;
    await page.goto(address);
    await page.click('[data-copy-link]');
    await page.locator('[data-outcome]').waitFor();
    await page.goto('/');
    await page.focus('#uid');
    await page.keyboard.press('Control+V');
    await page.keyboard.press('Enter');
    await page.waitForURL(address);
    expect(await page.locator('.rows bdi').allTextContents()).toEqual([first.order_uid, second.order_uid]);
  }));

test('the slash key goes to the field, also on a Cyrillic layout; Escape clears it', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(first.order_uid));
    const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
    expect(await focused()).not.toBe('uid');
    await page.keyboard.press('/');
    expect(await focused()).toBe('uid');
    expect(await page.evaluate(() => getSelection()?.toString())).toBe(first.order_uid);
    await page.keyboard.press('Escape');
    expect(await page.inputValue('#uid')).toBe('');
    await page.keyboard.type('a/b');
    expect(await page.inputValue('#uid')).toBe('a/b');
    await page.evaluate(() => {
      (document.activeElement as HTMLElement).blur();
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '.', code: 'Slash', bubbles: true }));
    });
    expect(await focused()).toBe('uid');
  }));

test('a slash in a field that waits for a number is not part of it', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    await page.focus('#uid');
    await page.keyboard.type(`/${first.order_uid}`);
    expect(await page.inputValue('#uid')).toBe(first.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('#order').waitFor();
    for (const key of '//') await page.keyboard.press(key);
    await page.keyboard.type(second.order_uid);
    expect(await page.inputValue('#uid')).toBe(second.order_uid);
  }));

test('a link that is pasted shows its order, at the address of the order', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    await page.fill('#uid', `https://orders.example.org/lookup/order/${first.order_uid}`);
    await page.keyboard.press('Enter');
    await page.waitForURL(linkTo(first.order_uid));
    expect(await page.inputValue('#uid')).toBe(first.order_uid);
  }));

test('a repeated lookup of the same order adds nothing to the history', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto(linkTo(first.order_uid));
    const length = await page.evaluate(() => history.length);
    await page.click('button[type=submit]');
    await eventually(async () => site.lookups, 2);
    await page.locator('.badge.memory').waitFor();
    expect(await page.evaluate(() => history.length)).toBe(length);
  }));

test('recent orders are one click away, the newest first, each once, until they are cleared', () =>
  visit({ orders }, async ({ page }) => {
    for (const { order_uid } of [first, second, first]) await page.goto(linkTo(order_uid));
    await page.goto('/');
    const recent = page.locator('#recent a');
    const names = () => recent.evaluateAll((links) => links.map((link) => link.getAttribute('title')));
    expect(await names()).toEqual([first.order_uid, second.order_uid]);
    await recent.last().click();
    await page.waitForURL(linkTo(second.order_uid));
    await eventually(names, [second.order_uid, first.order_uid]);
    await page.locator('#recent button').click();
    expect(await names()).toEqual([]);
    await page.reload();
    // The order on the page is itself a lookup.
    expect(await names()).toEqual([second.order_uid]);
  }));

test('a lookup that is overtaken by another is not shown', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    await page.fill('#uid', first.order_uid);
    await page.keyboard.press('Enter');
    await eventually(async () => site.lookups, 1);
    site.before = Promise.resolve();
    await page.fill('#uid', second.order_uid);
    await page.keyboard.press('Enter');
    await page.waitForURL(linkTo(second.order_uid));
    slow.resolve();
    expect(await shownUid(page)).toBe(second.order_uid);
    expect(new URL(page.url()).searchParams.get('uid')).toBe(second.order_uid);
  }));

test('each recent order that has the focus can be seen, also on a phone', () =>
  visit({ orders: recentOrders, width: 375 }, async ({ page }) => {
    for (const { order_uid } of recentOrders) await page.goto(linkTo(order_uid));
    await page.goto('/');
    const links = page.locator('#recent a');
    expect(await links.count()).toBe(6);
    await page.focus('#lookup button');
    for (const link of await links.all()) {
      await page.keyboard.press('Tab');
      const isSeen = () =>
        link.evaluate((link) => {
          if (link !== document.activeElement) return false;
          const { x, y, width, height } = link.getBoundingClientRect();
          return [0.1, 0.9].every((part) =>
            link.contains(document.elementFromPoint(x + width * part, y + height / 2)),
          );
        });
      await eventually(isSeen, true);
    }
    expect(await page.evaluate(() => document.body.scrollWidth - document.body.clientWidth)).toBe(0);
  }));
const recentOrders = Array.from({ length: 6 }, (_, index) =>
  buildOrder({ order_uid: `recent-order-number-${index}` }),
);

test('recent orders that are cleared in one window are cleared in all', () =>
  visit({ orders }, async ({ page, context }) => {
    await page.goto(linkTo(first.order_uid));
    const other = await context.newPage();
    await other.goto('/');
    const names = (window: Page) => window.locator('#recent a').evaluateAll((links) => links.length);
    expect(await names(other)).toBe(1);
    await page.fill('#uid', second.order_uid);
    await page.keyboard.press('Enter');
    await eventually(() => names(other), 2);
    await page.locator('#recent button').click();
    await eventually(() => names(other), 0);
    expect(await other.locator('#recent').innerHTML()).not.toContain(second.order_uid);
  }));

test('Escape in the list of numbers leaves the field alone', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    await page.fill('#uid', 'half-typed');
    await page.click('.several summary');
    await page.fill('#uids', first.order_uid);
    await page.keyboard.press('Escape');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('uids');
    expect(await page.inputValue('#uid')).toBe('half-typed');
  }));

test('a number can begin with what another layout has at the place of the slash', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    const isTaken = (key: string) =>
      page
        .locator('#uid')
        .evaluate(
          (field, key) =>
            !field.dispatchEvent(
              new KeyboardEvent('keydown', { key, code: 'Slash', bubbles: true, cancelable: true }),
            ),
          key,
        );
    expect([await isTaken('-'), await isTaken('.'), await isTaken('/')]).toEqual([false, false, true]);
  }));
