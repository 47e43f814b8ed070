import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import { buildOrder } from '../support/build-order.ts';
import { atEveryWidth, linkTo, openChromium, test, withAndWithoutScript } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const plain = buildOrder({
  order_uid: 'b563feb7b2b84b6test',
  date_created: '2021-11-26T06:22:19.123456Z',
  payment: {
    currency: 'USD',
    amount: 1817,
    goods_total: 317,
    delivery_cost: 1500,
    custom_fee: 0,
    payment_dt: 1637907727,
  },
  items: [{ price: 453, sale: 30, total_price: 317, status: 202, size: 'XL' }],
});
const wrong = buildOrder({
  order_uid: 'sums-do-not-add-up',
  payment: { currency: 'RUB', amount: 100, goods_total: 50, delivery_cost: 7, custom_fee: 1 },
  items: [
    { price: 100, sale: 10, total_price: 90, status: 202 },
    { price: 100, sale: 10, total_price: 80, status: 202 },
    { price: 99, sale: 50, total_price: 49, status: 200 },
  ],
});
const orders = [plain, wrong];
const long = buildOrder({
  order_uid: 'two-hundred-items',
  items: Array.from({ length: 200 }, () => plain.items[0] as object),
});
/** Nothing of it adds up, and its time of payment is implausible. */
const hasAllMarks = buildOrder({
  order_uid: 'all-marks-at-once',
  payment: { amount: 1, payment_dt: 1_637_907_727_000 },
  items: [{ price: 755, sale: 4, total_price: 5, name: 'A long name of an item, in several words' }],
});

const text = async (page: Page, selector: string) =>
  // biome-ignore lint/performance/useDomNodeTextContent: as it is laid out, with what is hidden left out
  (await page.locator(selector).innerText()).replaceAll(/\s+/g, ' ');

for (const { javaScriptEnabled, how } of withAndWithoutScript) {
  test(`every field is shown, status and totals first, the technical ones folded, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page }) => {
      await page.goto(linkTo(plain.order_uid));
      await atEveryWidth(page, async () => {
        const head = await text(page, '.order-head');
        for (const part of [plain.order_uid, '$1,817.00', '1 item', 'status 202'])
          expect(head).toContain(part);
        const { delivery } = plain;
        const address = await text(page, '.delivery');
        for (const part of Object.values(delivery)) expect(address).toContain(part);
        expect(address).toContain(plain.track_number);
        const sums = await text(page, '.amounts');
        expect(sums).toBe('goods $317.00 delivery $1,500.00 fee $0.00 total $1,817.00');
        const items = await text(page, '.items tbody');
        for (const part of ['$453.00', '−30%', '$317.00', '202', 'size XL', plain.items[0]?.brand ?? ''])
          expect(items).toContain(part);
        expect(await page.locator('.differs').count()).toBe(0);

        expect(await page.locator('.technical dl').isVisible()).toBe(false);
        await page.click('.technical summary');
        // A script builds the table a moment later.
        await page.locator('.technical td').first().waitFor();
        const technical = await text(page, '.technical');
        for (const part of [
          plain.customer_id,
          plain.shardkey,
          plain.payment.transaction,
          plain.items[0]?.rid,
        ])
          expect(technical).toContain(`${part}`);
        await page.click('.technical summary');
      });
    }));

  test(`the table of items is a list of cards on a phone only, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page }) => {
      await page.goto(linkTo(wrong.order_uid));
      await atEveryWidth(page, async (width) => {
        expect(await page.locator('.items thead').isVisible()).toBe(width > 640);
        const tops = await page
          .locator('.items tbody tr:first-child :is(.price, .item-status)')
          .evaluateAll((cells) => cells.map((cell) => cell.getBoundingClientRect().top));
        const name = await page.locator('.items tbody th bdi').first().boundingBox();
        for (const top of tops) expect(top > (name?.y ?? 0) + 16).toBe(width <= 640);
      });
    }));

  test(`sums that do not add up are marked, those that do are not, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page }) => {
      await page.goto(linkTo(wrong.order_uid));
      await atEveryWidth(page, async () => {
        expect(await page.locator('.sum .differs').textContent()).toContain('does not add up');
        expect((await page.locator('.amounts .differs').allInnerTexts()).join()).toBe(
          '≠ the items add up to ₽219.00,≠ this adds up to ₽58.00',
        );
        const rows = await page.locator('.items tbody tr').allInnerTexts();
        expect(rows.map((row) => row.includes('≠'))).toEqual([false, true, false]);
        expect(await text(page, '.summary')).toContain('status 202 × 2, 200');
      });
    }));
}

test('the badge shows the tier that the order came from, and how long the other tier took', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    expect(await text(page, '.source')).toContain('PostgreSQL 3.9 ms');
    await page.click('button[type=submit]');
    await page.locator('.badge.memory').waitFor();
    expect(await text(page, '.badge')).toContain('memory 0.02 ms');
    expect(await text(page, '.against')).toContain('PostgreSQL last took 4 ms, 200× as long');
  }));

test('two bars show how long memory and PostgreSQL take, memory by far the shorter', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    await page.click('button[type=submit]');
    await page.locator('.badge.memory').waitFor();
    expect(await page.locator('.speed dl > div').allInnerTexts()).toEqual([
      expect.stringMatching(/^memory\s+0\.02 ms$/),
      expect.stringMatching(/^PostgreSQL\s+4 ms$/),
    ]);
    const widths = await page
      .locator('.speed rect')
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
    // 0.02 ms and 4 ms on a scale of six powers of ten, from 0.001 ms on: 22 and 60 of 100.
    expect((widths[1] as number) / (widths[0] as number)).toBeCloseTo(60 / 22, 1);
  }));

test('a time is in the reader’s zone, with the exact one on hover and on focus, and Escape puts it away', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    expect(await text(page, '.placed [data-local]')).toBe('26 Nov 2021, 09:22');
    expect(await text(page, '[data-relative]')).toMatch(/^\d+ years ago$/);
    const clip = () => page.locator('.placed .exact').evaluate((exact) => getComputedStyle(exact).clipPath);
    expect(await clip()).not.toBe('none');
    await page.hover('.placed time');
    expect(await clip()).toBe('none');
    expect(await text(page, '.placed .exact')).toBe('2021-11-26T06:22:19.123456Z');
    await page.keyboard.press('Escape');
    expect(await clip()).not.toBe('none');
    await page.mouse.move(0, 0);
    await page.focus('.placed .when');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Tab');
    expect(await clip()).toBe('none');
  }));

test('every time is valid HTML, and has at most three digits of a second', () =>
  visit({ orders }, async ({ page, site }) => {
    await page.goto(linkTo(plain.order_uid));
    site.publish([plain]);
    await page.locator('#live a:not([hidden])').first().waitFor();
    const times = await page
      .locator('time')
      .evaluateAll((times) => times.map((time) => time.getAttribute('datetime')));
    expect(times.length).toBeGreaterThan(1);
    for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }));

test('without JavaScript times are in UTC, with the letters UTC', () =>
  visit({ orders, javaScriptEnabled: false }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    expect(await text(page, '.placed [data-local]')).toBe('26 Nov 2021, 06:22 UTC');
  }));

test('the number, phone, email, track number, link and JSON can be copied, and the JSON opened', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
    await page.click('[data-copy]');
    await eventually(clipboard, plain.order_uid);
    expect(await page.locator('#status').textContent()).toBe('Copied');
    const { phone, email } = plain.delivery;
    for (const text of [phone, email, plain.track_number]) {
      await page.click(`[data-copy="${text}"]`);
      await eventually(clipboard, text);
    }
    await page.click('[data-copy-link]');
    await eventually(clipboard, page.url());
    await page.click('[data-copy-from]');
    await eventually(async () => (await clipboard()).startsWith('{'), true);
    expect(JSON.parse(await clipboard())).toEqual(plain);
    await page.click('.order-foot a');
    await page.waitForURL(`/order/${plain.order_uid}`);
    expect(JSON.parse((await page.locator('pre').textContent()) ?? '')).toEqual(plain);
  }));

test('all items of a long order are on paper', () =>
  visit({ orders: [long] }, async ({ page }) => {
    await page.goto(linkTo(long.order_uid));
    const laidOut = () =>
      page
        .locator('.items tbody tr')
        .evaluateAll(
          (rows) =>
            rows.filter((row) => row.firstElementChild?.checkVisibility({ contentVisibilityAuto: true }))
              .length,
        );
    expect(await laidOut()).toBeLessThan(200);
    await page.emulateMedia({ media: 'print' });
    expect(await laidOut()).toBe(200);
  }));

for (const [width, size] of [
  [320, 16],
  [320, 32],
  [768, 16],
  [1024, 32],
] as const) {
  test(`the page fits ${width} px with letters of ${size} px, no word of a button is cut, and nothing covers another`, () =>
    visit({ orders: [hasAllMarks], width, locale: 'ru-RU' }, async ({ page, context }) => {
      const session = await context.newCDPSession(page);
      await session.send('Page.setFontSizes', { fontSizes: { standard: size, fixed: size } });
      // The second time there are two bars as well.
      await page.goto(linkTo(hasAllMarks.order_uid));
      await page.reload();
      for (const path of ['.order-head', '.amounts', '.items', '.order-foot'])
        await page.locator(path).scrollIntoViewIfNeeded();
      expect(await page.evaluate(() => getComputedStyle(document.documentElement).fontSize)).toBe(
        `${size}px`,
      );
      const outside = await page.evaluate(() =>
        [...document.querySelectorAll('body *')]
          .filter((part) => part.checkVisibility({ visibilityProperty: true }))
          .filter((part) => {
            const { right, width } = part.getBoundingClientRect();
            return width > 1 && right > document.documentElement.clientWidth + 1;
          })
          .map(({ outerHTML }) => outerHTML.slice(0, 80)),
      );
      expect(outside).toEqual([]);
      const buttons = await page.evaluate(() =>
        [...document.querySelectorAll('.actions .quiet')].map((part) => {
          const range = document.createRange();
          range.selectNodeContents((part.querySelector('span') ?? part).firstChild as Text);
          const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
          const words = (part.textContent ?? '').trim().split(' ');
          return { words, lines: lines.size };
        }),
      );
      expect(buttons.filter(({ words, lines }) => lines > words.length)).toEqual([]);
      const field = await page.locator('#uid').evaluate((field) => field.clientWidth);
      expect(field).toBeGreaterThanOrEqual(7 * size);
      const covered = await page.evaluate(() => {
        const boxes = [...document.querySelectorAll('.actions .quiet, .technical summary')].map((part) => {
          const range = document.createRange();
          range.selectNodeContents(part);
          return range.getBoundingClientRect();
        });
        return boxes.some((a, i) =>
          boxes.some(
            (b, j) => i < j && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom,
          ),
        );
      });
      expect(covered).toBe(false);
      expect(
        await page.locator('.note .differs').evaluate((mark) => getComputedStyle(mark, '::before').content),
      ).toBe('none');
    }));
}

for (const locale of ['ru-RU', 'en-GB'])
  test(`no heading of the table of items is broken, in ${locale}`, () =>
    visit({ orders, locale }, async ({ page }) => {
      await page.goto(linkTo(plain.order_uid));
      // The first is the narrowest at which it is a table.
      for (const width of [641, 768, 1024]) {
        await page.setViewportSize({ width, height: 800 });
        const lines = await page.locator('.items thead .end').evaluateAll((headings) =>
          headings.map((heading) => {
            const range = document.createRange();
            range.selectNodeContents(heading);
            return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
          }),
        );
        expect([width, Math.max(...lines)]).toEqual([width, 1]);
      }
    }));

test('copy buttons are not shown without JavaScript', () =>
  visit({ orders, javaScriptEnabled: false }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    expect(await page.locator('.needs-script:visible').count()).toBe(0);
    expect(await page.locator('.order-foot a').isVisible()).toBe(true);
  }));

test('on paper there is the order only, on one page, dark on light, whatever the theme', () =>
  visit({ orders, colorScheme: 'dark' }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    await page.emulateMedia({ media: 'print' });
    for (const selector of ['.top', '#lookup', '#live', '.source', '[data-copy]'])
      expect(await page.locator(selector).first().isVisible()).toBe(false);
    expect(await page.locator('.delivery').isVisible()).toBe(true);
    for (const theme of ['light', 'dark', undefined]) {
      const look = await page.evaluate((theme) => {
        if (theme) document.documentElement.dataset.theme = theme;
        else delete document.documentElement.dataset.theme;
        const { colorScheme, backgroundColor } = getComputedStyle(document.documentElement);
        const ink = getComputedStyle(document.querySelector('.delivery') as Element).color;
        return [colorScheme, backgroundColor, ink];
      }, theme);
      expect([theme, ...look]).toEqual([theme, 'light', 'rgb(255, 255, 255)', 'rgb(27, 26, 23)']);
    }
    const pdf = (await page.pdf({ format: 'A4' })).toString('latin1');
    expect(pdf.match(/\/Type\s*\/Page\b/g)).toHaveLength(1);
  }));

test('a part of the page that is selected and copied has spaces between its words, and none of its buttons’', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    const copied = async (from: string, to = from) => {
      await page.evaluate(
        ([from, to]) => {
          const [start, end] = [from, to].map((selector) => document.querySelector(selector as string));
          getSelection()?.setBaseAndExtent(start as Node, 0, end as Node, end?.childNodes.length ?? 0);
        },
        [from, to],
      );
      await page.keyboard.press('Control+C');
      return (await page.evaluate(() => navigator.clipboard.readText())).trim().replaceAll(/\s+/g, ' ');
    };
    const { delivery, payment } = plain;
    const { phone, email } = delivery;
    expect(await copied('.delivery')).toEndWith(
      `${phone} ${email} ${plain.delivery_service} · track ${plain.track_number}`,
    );
    expect(await copied('.payment .note')).toBe(`${payment.provider} · ${payment.bank} · 26 Nov 2021, 09:22`);
    expect(await copied('.title', '.summary')).toMatch(
      /^b563feb7b2b84b6test \$1,817\.00 placed \d+ years ago · 26 Nov 2021, 09:22 1 item · status 202$/,
    );
    expect(await copied('.items .note')).toBe(`${plain.items[0]?.brand} · size XL`);
  }));

test('without the clipboard API everything can be copied, too', () =>
  visit({ orders }, async ({ page }) => {
    await page.addInitScript(() =>
      Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined }),
    );
    await page.goto(linkTo(plain.order_uid));
    for (const selector of ['.title [data-copy]', '[data-copy-from]', '[data-copy-link]']) {
      const button = page.locator(selector);
      await button.click();
      await eventually(() => button.getAttribute('data-outcome'), 'Copied');
    }
  }));

test('paper has no ages, times with their zone, and the head of the items on each page', () =>
  visit({ orders: [long] }, async ({ page }) => {
    await page.goto(linkTo(long.order_uid));
    await page.setViewportSize({ width: 703, height: 1000 });
    await page.emulateMedia({ media: 'print' });
    expect(await page.locator('.relative').isVisible()).toBe(false);
    const exact = page.locator('.exact');
    expect(await exact.allInnerTexts()).toEqual([
      long.date_created,
      new Date(long.payment.payment_dt * 1000).toISOString(),
    ]);
    for (const style of await exact.evaluateAll((times) =>
      times.map((time) => getComputedStyle(time).clipPath),
    ))
      expect(style).toBe('none');
    const head = () => page.locator('.items thead').evaluate((head) => getComputedStyle(head).display);
    expect(await head()).toBe('table-header-group');
  }));

test('in forced colours the badge has a border and a dot, and a connected list another dot than one that is not', () =>
  visit({ orders, forcedColors: 'active' }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    const border = (selector: string, pseudo?: string) =>
      page.locator(selector).evaluate((part, pseudo) => {
        const { borderTopWidth, borderTopColor } = getComputedStyle(part, pseudo);
        return `${borderTopWidth} ${borderTopColor}`;
      }, pseudo);
    const { badge, dot } = { badge: await border('.badge'), dot: await border('.badge', '::before') };
    expect([badge, dot]).toEqual([expect.stringMatching(/^1px rgb\(/), expect.stringMatching(/^4px rgb\(/)]);
    const state = (state: string) =>
      page.locator('#live').evaluate((live, state) => {
        live.dataset.state = state;
      }, state);
    await page.locator('#live[data-state=on]').waitFor();
    expect(await border('#live .state', '::before')).toStartWith('4px');
    await state('off');
    expect(await border('#live .state', '::before')).toStartWith('1px');
  }));
