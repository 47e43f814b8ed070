/** The console in a browser: each flow with and without JavaScript, hostile letters, accessibility, and what a first visit weighs. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test';
import type { Browser, BrowserContextOptions, Page, Route } from 'playwright-core';
import { colourRules, violations } from '../support/axe.ts';
import { buildOrder } from '../support/build-order.ts';
import { atEveryWidth, launch, test, withAndWithoutScript } from '../support/chromium.ts';
import { type ConsoleSite, openConsoleSite, sampleAt } from '../support/console-site.ts';
import { eventually } from '../support/eventually.ts';
import { until } from '../support/kafka-and-postgres.ts';
import { anna } from '../support/open-console.ts';

setDefaultTimeout(180_000);

const hostile = `<img src=x onerror=alert(1)>"'&lt;\u202eabc\u2066${'W'.repeat(150)}`;
const order = buildOrder({ order_uid: 'a-letter-uid' });
const wrong = { ...order, locale: 'de' };

let browser: Browser;
let site: ConsoleSite;

beforeAll(async () => {
  if (!Bun.which('chromium')) return;
  site = await openConsoleSite();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

/** A visit that fails when anything is logged on the console, such as a violation of the content security policy. */
const visit = async (options: BrowserContextOptions, act: (page: Page) => Promise<void>) => {
  const context = await browser.newContext({
    locale: 'en-GB',
    viewport: { width: 1024, height: 800 },
    baseURL: site.origin,
    ...options,
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const said: string[] = [];
  page.on('console', (message) => {
    if (!/status of 40[01]|ERR_FAILED|htmx:error: Failed to fetch/.test(message.text()))
      said.push(message.text());
  });
  page.on('pageerror', (error) => said.push(`${error}`));
  page.on('dialog', (dialog) => dialog.accept());
  try {
    await act(page);
    expect(said).toEqual([]);
  } finally {
    await context.close();
  }
};

const logIn = async (page: Page, path = '/console/') => {
  await page.goto(path);
  await page.fill('#token', anna.token);
  await page.keyboard.press('Enter');
  await page.locator('.menu').waitFor();
};

for (const { javaScriptEnabled, how } of withAndWithoutScript) {
  test(`a login leads to the page that was asked for, and a logout ends it, ${how}`, () =>
    visit({ javaScriptEnabled }, async (page) => {
      await page.goto('/console/dead-letters?stage=parse');
      await page.fill('#token', 'not-the-right-token');
      await page.keyboard.press('Enter');
      await page.locator('.error').waitFor();
      await page.fill('#token', anna.token);
      await page.keyboard.press('Enter');
      await page.waitForURL('**/console/dead-letters?stage=parse');
      expect(await page.textContent('.menu form')).toContain('anna');
      await page.click('[hreflang=ru]');
      await eventually(() => page.getAttribute('html', 'lang'), 'ru');
      expect(page.url()).toContain('stage=parse');
      await page.click('.menu form button');
      await page.waitForURL('**/console/login');
      await page.goto('/console/');
      expect(await page.locator('#token').count()).toBe(1);
    }));

  test(`a letter is found, edited, sent and stored, ${how}`, () =>
    visit({ javaScriptEnabled }, async (page) => {
      const uid = `edited-${how.replaceAll(' ', '-')}`;
      await site.send({ key: uid, value: JSON.stringify({ ...wrong, order_uid: uid }) });
      await logIn(page, '/console/dead-letters');
      await page.fill('[name=uid]', uid);
      await page.keyboard.press('Enter');
      await page.locator('tbody tr').waitFor();
      expect(await page.locator('tbody tr').count()).toBe(1);
      await page.click('tbody th a');
      expect(await page.locator('.faulty').textContent()).toContain('is not one of en, ru');
      const value = await page.inputValue('[name=value]');
      expect(await page.textContent('#check')).toContain('not a valid order');
      await page.fill('[name=value]', value.replace('"de"', '"en"'));
      if (!javaScriptEnabled) await page.click('[value=check]');
      await eventually(async () => (await page.textContent('#check'))?.trim(), 'This is a valid order.');
      await page.click('[value=edited]');
      await page.locator('.outcome').waitFor();
      expect(await page.textContent('.outcome')).toContain('1 sent again');
      expect(await page.locator('.stopping').isVisible()).toBe(false);
      await until(() => site.desk.pipeline.store.find(uid as never));
    }));

  test(`all that match are tried, and selected ones are discarded and taken back, ${how}`, () =>
    visit({ javaScriptEnabled }, async (page) => {
      const uids = [1, 2, 3].map((n) => `many-${n}-${how.replaceAll(' ', '-')}`);
      await site.send(
        ...uids.map((uid) => ({ key: uid, value: JSON.stringify({ ...wrong, order_uid: uid }) })),
      );
      await logIn(page, '/console/dead-letters');
      await page.check('[name=scope][value=all]');
      await page.fill('[name=fix]', '[{"op":"replace","path":"/locale","value":"en"}]');
      await page.click('[value=try]');
      await page.locator('.outcome').waitFor();
      expect(await page.textContent('.outcome')).toContain('Nothing has been sent');
      await page.goto('/console/dead-letters');
      await page.click('[value=discard]');
      expect(await page.textContent('.error')).toContain('No letter is selected');
      for (const uid of uids.slice(0, 2))
        await page.locator('tbody tr', { hasText: uid }).locator('input').check();
      await page.click('[value=discard]');
      await page.locator('.outcome').waitFor();
      await page.goto('/console/dead-letters?state=discarded');
      expect(await page.locator('tbody tr').count()).toBe(2);
      await page.check('[name=scope][value=all]');
      await page.click('[value=restore]');
      await page.locator('.outcome').waitFor();
      await page.goto('/console/dead-letters?state=discarded');
      expect(await page.locator('tbody tr').count()).toBe(0);
    }));
}

/** Opens the letter of a wrong order. */
const openLetter = async (page: Page, uid: string) => {
  await site.send({ key: uid, value: JSON.stringify({ ...wrong, order_uid: uid }) });
  await logIn(page, `/console/dead-letters?uid=${uid}`);
  await page.click('tbody th a');
  return page.inputValue('[name=value]');
};
const checked = (page: Page) => page.locator('#check').textContent();

test('what is no check is not shown as one, and no check is of a value before', () =>
  visit({}, async (page) => {
    const value = await openLetter(page, 'checked-slowly');
    const right = value.replace('"de"', '"en"');
    const failures: ((route: Route) => Promise<void>)[] = [
      (route) => route.fulfill({ status: 401, contentType: 'text/html', body: '<form>Token</form>' }),
      (route) => route.fulfill({ status: 200, body: '<p class="valid">This is' }),
      (route) => route.abort(),
    ];
    for (const fail of failures) {
      await page.route('**/console/check', fail, { times: 1 });
      await page.fill('[name=value]', `${right}\n`);
      await eventually(async () => (await checked(page))?.includes('could not be checked'), true);
      expect(await page.locator('#check form').count()).toBe(0);
      await page.fill('[name=value]', right);
      await eventually(async () => (await checked(page))?.trim(), 'This is a valid order.');
    }
    expect(await page.getAttribute('#check', 'aria-busy')).toBeNull();

    const held = Promise.withResolvers<Route>();
    await page.route('**/console/check', (route) => held.resolve(route), { times: 1 });
    await page.fill('[name=value]', `${right} `);
    await held.promise;
    const aborted = page.waitForEvent('requestfailed');
    await page.fill('[name=value]', value);
    await aborted;
    expect(await page.getAttribute('#check', 'aria-busy')).toBe('true');
    await eventually(async () => (await checked(page))?.includes('not a valid order yet'), true);
    expect(await page.getAttribute('#check', 'aria-busy')).toBeNull();
  }));

test('a button that is clicked twice sends the form once', () =>
  visit({}, async (page) => {
    const value = await openLetter(page, 'clicked-twice');
    await page.fill('[name=value]', value.replace('"de"', '"en"'));
    const isPrevented = await page.evaluate<boolean[]>(`(() => {
      const isPrevented = [];
      addEventListener('submit', (event) => isPrevented.push(event.defaultPrevented));
      const button = document.querySelector('[value=edited]');
      button.click();
      button.click();
      return isPrevented;
    })()`);
    expect(isPrevented).toEqual([false, true]);
    await page.locator('.outcome').waitFor();
    expect(await page.textContent('.outcome')).toContain('1 sent again, 0 skipped');
  }));

for (const { javaScriptEnabled, how } of withAndWithoutScript)
  test(`an order is found by a phone number, and exported, ${how}`, () =>
    visit({ javaScriptEnabled, acceptDownloads: true }, async (page) => {
      const uid = `found-${how.replaceAll(' ', '-')}`;
      const phone = javaScriptEnabled ? '+79770000001' : '+79770000002';
      await site.desk.pipeline.store.save([
        buildOrder({ order_uid: uid, delivery: { phone, name: hostile.slice(0, 100) } }),
      ]);
      await logIn(page, '/console/orders');
      await page.fill('[name=q]', phone.replace('+7', '8 ('));
      await page.keyboard.press('Enter');
      await eventually(() => page.textContent('.found h2'), 'Found by phone');
      expect(await page.locator('tbody th').allTextContents()).toEqual([uid]);
      expect(await page.getAttribute('tbody th a', 'href')).toBe(`../?uid=${uid}`);
      const [file] = await Promise.all([page.waitForEvent('download'), page.click('.export a')]);
      expect(file.suggestedFilename()).toBe('orders.csv');
      expect(await Bun.file(await file.path()).text()).toContain(`'${phone}`);
    }));

const drawn = (page: Page) => page.locator('.plots[data-state=drawn] canvas').count();

/** As a browser does when its tab is left, or returned to. */
const setHidden = (page: Page, isHidden: boolean) =>
  page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);

test('the overview draws its plots, adds each second, and stops while it is hidden', () =>
  visit({}, async (page) => {
    await logIn(page);
    await eventually(() => drawn(page), 6);
    const share = page.locator('[aria-labelledby=plot-hits] .u-legend');
    await eventually(async () => /\d%/.test((await share.textContent()) ?? ''), true);
    await eventually(async () => site.listeners.size, 1);
    const time = Date.now() + 10_000;
    for (const listener of site.listeners) listener({ ...sampleAt(time), memory: 123e6 });
    const legend = page.locator('[aria-labelledby=plot-memory] .u-legend');
    await eventually(async () => ((await legend.textContent()) ?? '').includes('123 MB'), true);
    const boxes = page.locator('[aria-labelledby=plot-durations] .u-marker');
    expect(await boxes.evaluateAll((all) => all.map((box) => getComputedStyle(box).borderTopStyle))).toEqual(
      // Of the time; then of median and p99, by tier.
      ['none', 'solid', 'dashed', 'solid', 'dashed', 'solid', 'dashed'],
    );
    await setHidden(page, true);
    await eventually(async () => site.listeners.size, 0);
    await setHidden(page, false);
    await eventually(async () => site.listeners.size, 1);
    await page.click('.plots details summary');
    expect(await page.locator('.plots details[open] tbody tr').count()).toBe(15);
  }));

test('an overview whose session is void leads to the login, once, and a login works', () =>
  visit({}, async (page) => {
    await logIn(page);
    await eventually(() => drawn(page), 6);
    const [cookie] = await page.context().cookies();
    await page
      .context()
      .addCookies([{ ...(cookie as NonNullable<typeof cookie>), value: 'anna.99999999999.AAAA' }]);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await setHidden(page, false);
    await page.locator('#token').waitFor();
    expect(await page.context().cookies()).toEqual([]);
    expect(asked.filter((path) => path.startsWith('/console/api/'))).toEqual(['/console/api/overview']);
    await page.fill('#token', anna.token);
    await page.keyboard.press('Enter');
    await eventually(() => drawn(page), 6);
  }));

test('while the overview cannot be read, it is asked for once in 5 s, however often the tab is returned to', async () => {
  const context = await browser.newContext({ baseURL: site.origin });
  try {
    const page = await context.newPage();
    await page.clock.install();
    await logIn(page);
    await eventually(async () => (await page.locator('.plots[data-state=drawn]').count()) > 0, true);
    let asked = 0;
    await page.route('**/console/api/overview?*', (route) => {
      asked++;
      return route.fulfill({ status: 503 });
    });
    for (let n = 1; n <= 5; n++) {
      await setHidden(page, true);
      await setHidden(page, false);
      await eventually(async () => asked, n);
    }
    let seconds = 0;
    await eventually(async () => {
      await page.clock.runFor(1_000);
      seconds++;
      return asked >= 8;
    }, true);
    expect(asked - 5).toBeLessThanOrEqual(seconds / 5);
  } finally {
    await context.close();
  }
});

test('on a narrow phone, in Russian, the words of the table of parts are whole, and a table that goes on shows that', () =>
  visit({ viewport: { width: 360, height: 800 }, locale: 'ru-RU' }, async (page) => {
    await logIn(page);
    const words = page.locator('.parts tbody :is(th, .state)');
    expect(await words.count()).toBe(12);
    const lines = await words.evaluateAll((all) =>
      all.map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        const tops = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
        return [cell.textContent, tops.size <= (cell.textContent ?? '').trim().split(/\s/).length];
      }),
    );
    expect(lines.filter(([, isWhole]) => !isWhole)).toEqual([]);
    expect(await page.locator('.parts thead').textContent()).not.toContain('Причина');

    await site.send({ key: 'narrow', value: JSON.stringify({ ...wrong, order_uid: 'narrow-letter' }) });
    await page.goto('/console/dead-letters');
    const scroll = page.locator('.letters .scroll');
    expect(await scroll.evaluate((box) => box.scrollWidth > box.clientWidth)).toBe(true);
    expect(await scroll.evaluate((box) => getComputedStyle(box).backgroundAttachment)).toContain('local');
    await page.click('tbody th a');
    const facts = (await page.textContent('.facts')) ?? '';
    expect(facts).toContain(' в топике ');
    expect(facts).not.toMatch(/\d of /);
  }));

for (const locale of ['ru-RU', 'en-GB'])
  test(`on a narrow phone the fields of an erasure are within their card, in ${locale}`, () =>
    visit({ viewport: { width: 320, height: 800 }, locale }, async (page) => {
      await logIn(page, '/console/erase');
      const right = (selector: string) =>
        page
          .locator(selector)
          .evaluateAll((all) => Math.max(...all.map((part) => part.getBoundingClientRect().right)));
      expect(await right('.change :is(select, textarea, button)')).toBeLessThan(await right('.change'));
    }));

test('in Russian the units of the plots are Russian', () =>
  visit({ locale: 'ru-RU' }, async (page) => {
    await logIn(page);
    const legend = (plot: string) => page.locator(`[aria-labelledby=plot-${plot}] .u-legend`).textContent();
    await eventually(async () => /\d МБ/.test((await legend('memory')) ?? ''), true);
    expect(await legend('durations')).toMatch(/\d мкс.*\d мс/s);
    await page.click('[aria-labelledby=plot-memory] summary');
    expect(await page.textContent('[aria-labelledby=plot-memory] tbody')).toMatch(/\d МБ/);
  }));

test('without JavaScript the overview has its tables', () =>
  visit({ javaScriptEnabled: false }, async (page) => {
    await logIn(page);
    await page.click('.plots details summary');
    expect(await page.textContent('.plots details[open] table')).toContain('PostgreSQL, p99');
    expect(await page.locator('.plot').first().isVisible()).toBe(false);
    await page.click('.windows a:last-child');
    expect(page.url()).toContain('window=24h');
  }));

const pages = [
  '/console/',
  '/console/dead-letters?state=all',
  '/console/orders',
  '/console/orders?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E',
  '/console/orders?q=abc',
];

test('a hostile letter or order is text in every view, fits at every width, and axe finds nothing', () =>
  visit({}, async (page) => {
    const value = JSON.stringify({
      ...wrong,
      order_uid: hostile,
      locale: hostile,
      delivery: { name: hostile },
    });
    await site.send(
      { key: hostile, value, headers: { [hostile]: hostile } },
      { key: 'k', value: `${hostile}\u0000\u001b[31m` },
      { key: 'k', value: '' },
      { key: 'k', value: '['.repeat(20_000) },
    );
    // A letter of another program, whose headers are hostile too.
    const { kafka, deadLetterTopic } = site.desk.pipeline;
    const producer = kafka.producer();
    await producer.connect();
    const names = ['topic', 'partition', 'offset', 'stage', 'exception.class.name', 'exception.message'];
    const headers = Object.fromEntries(names.map((name) => [`__connect.errors.${name}`, hostile]));
    await producer.send({ topic: deadLetterTopic, messages: [{ key: hostile, value, headers }] });
    await producer.disconnect();
    await site.desk.pipeline.store.save([
      buildOrder({
        order_uid: hostile.slice(0, 50),
        delivery: { name: hostile.slice(0, 100), city: hostile.slice(0, 100) },
        payment: { amount: Number.MAX_SAFE_INTEGER },
      }),
    ]);
    await logIn(page);
    await page.goto('/console/dead-letters?state=all');
    const links = await page
      .locator('tbody th a')
      .evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).href));
    /** The outcome of a try names each letter that is skipped, with its reason. */
    const tryAll = async () => {
      await page.goto('/console/dead-letters');
      await page.check('[name=scope][value=all]');
      await page.click('[value=try]');
      await page.locator('.skipped bdi').first().waitFor();
      expect(await page.textContent('.skipped')).toContain('<img src=x');
    };
    const paths = [...pages, ...links.slice(0, 5), '/console/login', '/console/dead-letters?since=x'];
    for (const path of [...paths, 'outcome']) {
      if (path === 'outcome') await tryAll();
      else await page.goto(path);
      expect(await page.locator('main img').count()).toBe(0);
      await atEveryWidth(page, async () => {
        const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        // The plots get their width after the window.
        await eventually(async () => [path, (await wider()) <= 0], [path, true]);
      });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const options = colorScheme === 'dark' ? colourRules : {};
        const found = await violations((script) => page.evaluate(script), options);
        expect([path, colorScheme, found]).toEqual([path, colorScheme, []]);
      }
    }
    const shown = await page.goto(links.at(-1) ?? '');
    expect(shown?.status()).toBe(200);
  }));

test('a first visit takes less than 120 kB', () =>
  visit({}, async (page) => {
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    let bytes = 0;
    session.on('Network.loadingFinished', ({ encodedDataLength }) => {
      bytes += encodedDataLength;
    });
    await logIn(page);
    await page.waitForLoadState('load');
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(120_000);
  }));
