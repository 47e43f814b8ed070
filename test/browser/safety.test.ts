import { expect } from 'bun:test';
import type { Page } from 'playwright-core';
import type { Order } from '../../src/order/order.ts';
import { colourRules, violations } from '../support/axe.ts';
import { buildOrder } from '../support/build-order.ts';
import { atEveryWidth, linkTo, openChromium, test, withAndWithoutScript } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';

const visit = openChromium();

const markup = `<img src=x onerror=alert(1)>"'&lt;`;
const rightToLeft = '\u202eabc\u2066שלום';
/** Markup, quotes, bidi characters and one long word, `length` characters in total. */
const hostile = (length: number) => (markup + rightToLeft + 'W'.repeat(200)).slice(0, length);

const most = Number.MAX_SAFE_INTEGER;
const item = {
  name: hostile(100),
  brand: hostile(100),
  size: hostile(10),
  rid: hostile(50),
  price: most,
  total_price: most,
  nm_id: most,
  chrt_id: most,
  status: most,
  sale: 100,
};
const nasty = buildOrder({
  order_uid: hostile(50),
  entry: hostile(10),
  internal_signature: hostile(50),
  customer_id: hostile(50),
  delivery_service: hostile(50),
  shardkey: hostile(10),
  oof_shard: hostile(10),
  sm_id: most,
  delivery: {
    name: hostile(100),
    zip: hostile(20),
    city: hostile(100),
    region: hostile(100),
    address: hostile(200),
    email: `${"o'<b>&".replaceAll(/[<>]/g, '')}${'w'.repeat(88)}@a.bc`,
  },
  payment: {
    transaction: hostile(50),
    request_id: hostile(50),
    bank: hostile(50),
    amount: most,
    goods_total: most,
    delivery_cost: most,
    custom_fee: most,
    payment_dt: most,
  },
  items: [item, item],
});
const plain = buildOrder();
const wrong = buildOrder({ order_uid: 'sums-do-not-add-up', payment: { amount: 1 } });
const orders = [nasty, plain, wrong];

/** Every text of an order except the currency, which is shown as a sign. */
const textsOf = ({ delivery, payment, items, ...rest }: Order) =>
  [rest, delivery, payment, ...items].flatMap((part) =>
    Object.entries(part).flatMap(([name, value]) =>
      typeof value === 'string' && name !== 'currency' ? [value] : [],
    ),
  );

const found = (page: Page, options = {}) => violations((script) => page.evaluate(script), options);

for (const { javaScriptEnabled, how } of withAndWithoutScript) {
  test(`markup, quotes, bidi characters and endless words are text, and fit, ${how}`, () =>
    visit({ javaScriptEnabled, orders }, async ({ page, site }) => {
      await page.goto(linkTo(nasty.order_uid));
      if (javaScriptEnabled) site.publish([nasty]);
      expect(await page.inputValue('#uid')).toBe(nasty.order_uid);
      expect(await page.getAttribute('[data-copy]', 'data-copy')).toBe(nasty.order_uid);
      await page.click('.technical summary');
      await page.locator('.technical td').first().waitFor();
      const shown = (await page.locator('#result').textContent()) ?? '';
      for (const text of textsOf(nasty)) expect(shown).toContain(text);
      if (javaScriptEnabled) await page.locator('#live a:not([hidden])').first().waitFor();
      expect(await page.locator('#result img, #live img, #recent img').count()).toBe(0);
      await atEveryWidth(page, async () => {
        const wider = await page.evaluate(() => document.body.scrollWidth - document.body.clientWidth);
        expect(wider).toBe(0);
        const cut = await page.locator('.card :is(bdi, dd > span, td > span)').evaluateAll((parts) =>
          parts
            .filter((part) => {
              const box = part.getBoundingClientRect();
              const card = part.closest('.card')?.getBoundingClientRect();
              return card && box.width > 0 && (box.left < card.left - 1 || box.right > card.right + 1);
            })
            .map((part) => part.outerHTML),
        );
        expect(cut).toEqual([]);
      });
    }));
}

test('bidi characters in a field do not reorder its neighbours', () => {
  const open = ['\u202e\u2066', '\u2069\u202e', '\u202d\u2067\u2067'];
  const [bank = '', city = '', brand = ''] = open.map((controls) => `abc${controls}`);
  const reordered = buildOrder({ payment: { bank }, delivery: { city }, items: [{ brand, size: 'XL' }] });
  return visit({ orders: [reordered] }, async ({ page }) => {
    await page.goto(linkTo(reordered.order_uid));
    /** Where the first and the last character of each text are, from the left. */
    const lefts = (selector: string) =>
      page.locator(selector).evaluateAll((parts) =>
        parts.flatMap((part) => {
          const text = part.firstChild as Text;
          return [0, text.length - 1].map((at) => {
            const range = document.createRange();
            range.setStart(text, at);
            range.setEnd(text, at + 1);
            return range.getBoundingClientRect().left;
          });
        }),
      );
    for (const selector of [
      '.payment time',
      '.delivery address p:nth-child(3) bdi:nth-child(n + 2)',
      '.items tbody .note bdi:last-child',
    ]) {
      const found = await lefts(selector);
      expect(found.length).toBeGreaterThan(1);
      expect([selector, found]).toEqual([selector, found.toSorted((a, b) => a - b)]);
    }
  });
});

for (const width of [360, 1440]) {
  test(`axe finds nothing on any state in either theme, at ${width} px`, () =>
    visit({ width, orders, expected: /status of|htmx:/ }, async ({ page, site }) => {
      await page.goto('/');
      site.publish([plain]);
      await page.locator('#live a:not([hidden])').first().waitFor();
      const check = async (state: string) => {
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          const options = colorScheme === 'dark' ? colourRules : {};
          expect({ state, colorScheme, found: await found(page, options) }).toEqual({
            state,
            colorScheme,
            found: [],
          });
        }
      };
      await check('empty');
      for (const uid of [plain.order_uid, wrong.order_uid, 'no-such-order', 'short', 'down-order']) {
        site.down = uid.startsWith('down');
        await page.goto(linkTo(uid));
        if (uid === wrong.order_uid) {
          await page.click('.technical summary');
          await page.locator('.technical td').first().waitFor();
        }
        await check(uid);
      }
      await page.route('**/?uid=*', (route) => route.fulfill({ status: 500, body: '' }));
      await page.click('[data-retry]');
      await page.locator('[data-state=failed]').waitFor();
      await check('failed');
      await page.hover('#live ol');
      await check('paused');
    }));
}

test('an order with its exact time open is as accessible', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto(linkTo(plain.order_uid));
    await page.hover('.placed time');
    expect(await found(page)).toEqual([]);
  }));

test('everything can be reached by keyboard, the field first', () =>
  visit({ orders }, async ({ page }) => {
    await page.goto('/');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('uid');
    await page.keyboard.type(plain.order_uid);
    await page.keyboard.press('Enter');
    await page.locator('#order').waitFor();
    const reached: string[] = [];
    for (let step = 0; step < 14; step++) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 120) ?? ''));
    }
    for (const part of ['data-copy=', 'class="when"', 'tel:', 'mailto:', '<summary', 'data-copy-from='])
      expect(reached.some((html) => html.includes(part))).toBe(true);
  }));

test('Swagger UI works under the same strict policy, and loads nothing from other hosts', () =>
  visit({ orders, docs: true }, async ({ page }) => {
    const answer = await page.goto('/swagger');
    expect(answer?.headers()['content-security-policy']).toContain("default-src 'none'");
    expect(answer?.headers()['content-security-policy']).not.toContain('unsafe');
    await page.locator('.opblock-summary').first().waitFor();
    await page.locator('.opblock-summary button').first().click();
    await page.locator('.opblock-body').first().waitFor();
  }));

test('Swagger UI is dark where the system is, and follows it', () =>
  visit({ orders, docs: true }, async ({ page }) => {
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto('/swagger');
    await page.locator('.opblock-summary').first().waitFor();
    const light = await background();
    await page.emulateMedia({ colorScheme: 'dark' });
    await eventually(async () => (await background()) !== light, true);
    await page.reload();
    expect(await background()).not.toBe(light);
  }));
