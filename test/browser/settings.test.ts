import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import { linkTo, openChromium, test } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const order = buildOrder();
const orders = [order];

const language = (page: Page) => page.getAttribute('html', 'lang');
const scheme = (page: Page) =>
  page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/)?.[0] ?? '');
const isDark = async (page: Page) => Number(await scheme(page)) < 128;

test('the language is the one that the browser prefers, or Russian', async () => {
  for (const [locale, expected] of [
    ['en-US', 'en'],
    ['ru-RU', 'ru'],
    ['de-DE', 'ru'],
  ] as const) {
    await visit({ orders, locale }, async ({ page }) => {
      await page.goto('/');
      expect(await language(page)).toBe(expected);
    });
  }
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without';

  test(`the language can be switched without losing the order, and is remembered, ${how} JavaScript`, () =>
    visit({ orders, javaScriptEnabled }, async ({ page }) => {
      await page.goto('/');
      await page.fill('#uid', order.order_uid);
      await page.keyboard.press('Enter');
      await page.waitForURL(linkTo(order.order_uid));
      await page.click('[hreflang=ru]');
      await eventually(() => language(page), 'ru');
      expect(new URL(page.url()).search).toBe(linkTo(order.order_uid).slice(1));
      expect(await page.locator('.delivery h3').textContent()).toBe('Доставка');
      await page.goto('/');
      expect(await language(page)).toBe('ru');
    }));

  test(`the theme follows the system, can be switched and is remembered, ${how} JavaScript`, () =>
    visit({ orders, javaScriptEnabled, colorScheme: 'dark' }, async ({ page }) => {
      await page.goto(linkTo(order.order_uid));
      expect(await isDark(page)).toBe(true);
      expect(await page.locator('.to-dark').isVisible()).toBe(false);
      await page.click('.to-light');
      await eventually(() => isDark(page), false);
      expect(await page.locator('.to-dark').isVisible()).toBe(true);
      expect(await page.locator('#order').textContent()).toBe(order.order_uid);
      await page.goto('/');
      // The document itself has the theme, so the other one does not flash.
      expect(await page.getAttribute('html', 'data-theme')).toBe('light');
      expect(await isDark(page)).toBe(false);
    }));
}

test('a part of a page is in the page’s own language, whatever another tab has chosen since', () =>
  visit({ orders }, async ({ page, context }) => {
    await page.goto('/');
    const other = await context.newPage();
    await other.goto('/');
    await other.click('[hreflang=ru]');
    await eventually(() => language(other), 'ru');
    const heading = () => page.locator('.delivery h3').textContent();
    await page.fill('#uid', order.order_uid);
    await page.keyboard.press('Enter');
    await eventually(heading, 'Delivery');
    await page.fill('#uid', 'no-such-order');
    await page.keyboard.press('Enter');
    await page.locator('.message').waitFor();
    await page.goBack();
    await eventually(heading, 'Delivery');
    expect(await language(page)).toBe('en');
  }));

test('to switch the language adds nothing to the history', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    await page.goto(linkTo(order.order_uid));
    const length = await page.evaluate(() => history.length);
    for (const next of ['ru', 'en']) {
      await page.click(`[hreflang=${next}]`);
      await eventually(() => language(page), next);
    }
    expect(await page.evaluate(() => history.length)).toBe(length);
    await page.goBack();
    expect(new URL(page.url()).search).toBe('');
  }));

test('nothing is animated when the visitor prefers reduced motion', () =>
  visit({ orders, reducedMotion: 'reduce' }, async ({ page, site }) => {
    await page.goto('/');
    const slow = Promise.withResolvers<void>();
    site.before = slow.promise;
    await page.fill('#uid', order.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('.busy').waitFor();
    const animation = await page.evaluate(
      () => getComputedStyle(document.querySelector('.field') as Element, '::after').animationName,
    );
    expect(animation).toBe('none');
    slow.resolve();
    await page.locator('#order').waitFor();
  }));

test('a link to another language or theme that is opened in a new tab has the order that is shown', () =>
  visit({ orders, expected: /404/ }, async ({ page }) => {
    await page.goto('/');
    const hrefs = () =>
      page.locator('[data-setting]').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
    expect(await hrefs()).toEqual(['./?lang=ru', './?theme=dark', './?theme=light']);
    for (const uid of [order.order_uid, 'no-such-order']) {
      await page.fill('#uid', uid);
      await page.keyboard.press('Enter');
      await page.waitForURL(linkTo(uid));
      const query = `./?uid=${uid}`;
      await eventually(hrefs, [`${query}&lang=ru`, `${query}&theme=dark`, `${query}&theme=light`]);
    }
    await page.goBack();
    await eventually(async () => (await hrefs())[0], `./?uid=${order.order_uid}&lang=ru`);
  }));
