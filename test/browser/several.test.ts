import { expect } from 'bun:test';
import { violations } from '../support/axe.ts';
import { buildOrder } from '../support/build-order.ts';
import { atEveryWidth, linkTo, openChromium, test } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const orders = Array.from({ length: 3 }, (_, index) => buildOrder({ order_uid: `several-order-${index}` }));
const [first, second, third] = orders.map(({ order_uid }) => order_uid) as [string, string, string];
const address = `/?uid=${second}&uid=no-such-order&uid=${first}`;

test('a column that is pasted into the field is a list of orders, each one opens, and Back leads to the list', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    await page.evaluate(
      (text) => navigator.clipboard.writeText(text),
      `${second}\r\nno-such-order\t\r\n${first}\r\n`,
    );
    await page.focus('#uid');
    await page.keyboard.press('Control+V');
    expect(await page.inputValue('#uid')).toBe(`${second} no-such-order ${first}`);
    await page.keyboard.press('Enter');
    await page.waitForURL(address);
    const numbers = () => page.locator('.rows bdi').allTextContents();
    expect(await numbers()).toEqual([second, 'no-such-order', first]);
    expect(await page.locator('#status').textContent()).toBe('Found 2 of 3');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('order');
    await page.click(`.rows a:has-text("${first}")`);
    await page.waitForURL(linkTo(first));
    await eventually(() => page.inputValue('#uid'), first);
    await page.goBack();
    await eventually(numbers, [second, 'no-such-order', first]);
    expect(await page.inputValue('#uid')).toBe(`${second} no-such-order ${first}`);
    await page.click('.rows a:has-text("no-such-order")');
    await page.locator('.message').waitFor();
    expect(await page.locator('#recent a').count()).toBe(1);
  }));

test('several numbers need no JavaScript', () =>
  visit({ orders, javaScriptEnabled: false }, async ({ page }) => {
    await page.goto('/');
    await page.click('.several summary');
    await page.fill('#uids', `${second}\nno-such-order\n${first}`);
    await page.click('.several button');
    await page.waitForURL(address);
    expect(await page.locator('.rows bdi').allTextContents()).toEqual([second, 'no-such-order', first]);
    const download = page.waitForEvent('download');
    await page.click('.row-foot a[download]');
    const file = await (await download).path();
    expect(
      (await Bun.file(file).text())
        .split('\r\n')
        .slice(1, -1)
        .map((line) => line.split(',')[0]),
    ).toEqual([second, 'no-such-order', first]);
  }));

test('the list can be copied as a table, and its link', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto(address);
    const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
    await page.click('.row-foot [data-copy]');
    await eventually(
      async () => (await clipboard()).split('\n').map((line) => line.split('\t')[0]),
      ['order number', second, 'no-such-order', first],
    );
    await page.click('.row-foot [data-copy-link]');
    await eventually(clipboard, site.origin + address);
  }));

test('the list fits, and axe finds nothing, at every width', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(`${address}&uid=${third}&uid=${'w'.repeat(50)}&uid=short`);
    await atEveryWidth(page, async () => {
      expect(await page.evaluate(() => document.body.scrollWidth - document.body.clientWidth)).toBe(0);
      expect(await violations((script) => page.evaluate(script))).toEqual([]);
    });
    await page.goto('/');
    await page.click('.several summary');
    expect(await violations((script) => page.evaluate(script))).toEqual([]);
  }));

for (const locale of ['ru-RU', 'en-GB'])
  test(`no word and no sum of the list is broken at 320 and 360 pixels, in ${locale}`, () =>
    visit({ orders, locale }, async ({ page }) => {
      await page.goto(address);
      for (const width of [320, 360]) {
        await page.setViewportSize({ width, height: 800 });
        const lines = await page
          .locator('.rows :is(.count, .money, time)')
          .evaluateAll((parts) => parts.map((part) => Math.round(part.getBoundingClientRect().height / 24)));
        expect([width, ...lines]).toEqual([width, 1, 1, 1, 1, 1, 1]);
      }
    }));

const tooMany = Array.from({ length: 101 }, (_, index) => `many-orders-${index}`);

test('more than a hundred numbers are not sent, and stay where they were typed', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto('/');
    await page.click('.several summary');
    await page.fill('#uids', tooMany.join('\n'));
    site.requested.length = 0;
    await page.click('.several button');
    const message = page.locator('[data-state=tooMany] #message');
    expect(await message.textContent()).toBe('At most 100 can be looked up at once; these are 101.');
    expect(await page.inputValue('#uids')).toBe(tooMany.join('\n'));
    await page.fill('#uid', tooMany.join(', '));
    await page.press('#uid', 'Enter');
    expect(await message.count()).toBe(1);
    expect(await page.inputValue('#uid')).toBe(tooMany.join(', '));
    expect(await page.title()).toBe('Too many numbers · Order Lookup');
    expect(site.requested.filter((path) => path === '/')).toEqual([]);
    await page.fill('#uid', tooMany.slice(1).join(' '));
    await page.press('#uid', 'Enter');
    await eventually(() => page.locator('.rows li').count(), 100);
  }));

test('numbers that are too long together for a server can be looked up in smaller groups, with or without the form', () =>
  visit({ orders, expected: /status of (404|414|431)|htmx:/ }, async ({ page }) => {
    for (const status of [414, 431]) {
      await page.goto('/');
      await page.route('**/?uid=*', (route) => route.fulfill({ status, body: '' }));
      await page.click('.several summary');
      await page.fill('#uids', `${first}\n${second}`);
      await page.click('.several button');
      await page.locator('[data-state=tooLong]').waitFor();
      expect(await page.inputValue('#uid')).toBe(`${first} ${second}`);
      expect(new URL(page.url()).search).toBe('');
      await page.unroute('**/?uid=*');
      await page.press('#uid', 'Enter');
      await eventually(() => page.locator('.rows li').count(), 2);
    }
  }));

test('a hundred long Cyrillic numbers after a hundred others are not more than the server accepts', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    for (const start of ['заказ-номер-раз-и-ещё-', 'заказ-номер-два-и-ещё-']) {
      const list = Array.from({ length: 100 }, (_, index) => start + `${index}`.padStart(3, '0'));
      await page.fill('#uid', list.join(' '));
      await page.press('#uid', 'Enter');
      await eventually(() => page.locator('.rows bdi').allTextContents(), list);
    }
  }));
