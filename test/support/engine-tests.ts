/** What every browser engine has to do. Everything else is tested in Chromium. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test';
import { violations } from './axe.ts';
import { buildOrder } from './build-order.ts';
import { eventually } from './eventually.ts';
import { type Served, serve } from './site.ts';
import type { testWith } from './test-with.ts';

export type Key = 'Tab' | 'Enter' | ' ' | 'ArrowDown';

/** Dialogs of a page are accepted. */
export type Tab = {
  goto(url: string): Promise<void>;
  /** The value of an expression, or what its promise resolves with. */
  evaluate<Value>(expression: string): Promise<Value>;
  /** Types into what has the focus; a line's end is Enter. */
  type(text: string): Promise<void>;
  /** Presses a key, by its name in `KeyboardEvent.key`. */
  press(key: Key): Promise<void>;
  /** Whether assistive technologies get the first element that matches with this role. */
  hasRole(selector: string, role: string): Promise<boolean>;
  back(): Promise<void>;
  resize(width: number): Promise<void>;
  close(): Promise<void>;
};

export type Engine = { openTab(): Promise<Tab>; close(): Promise<void> };

const item = buildOrder().items[0] as object;
const long = buildOrder({
  order_uid: 'long-order-0001',
  date_created: '2021-11-26T06:22:19.123456Z',
  // Every third name takes several lines, so that their heights cannot be estimated.
  items: Array.from({ length: 120 }, (_, index) => ({
    ...item,
    name:
      index % 3 === 0
        ? 'An item with a long name that takes several lines at any width of the window'
        : 'Tea',
  })),
});
const wrong = buildOrder({ order_uid: 'sums-do-not-add-up', payment: { amount: 1 } });
const plain = buildOrder();
const orders = [plain, long, wrong];

export const text = (tab: Tab, selector: string) =>
  tab.evaluate<string | null>(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? null`);
export const isShown = (tab: Tab, uid: string) => eventually(() => text(tab, '#order'), uid, 30_000);
export const connected = (tab: Tab) =>
  eventually(() => tab.evaluate(`document.querySelector('#live').dataset.state`), 'on', 30_000);

const lookUp = (uid: string) =>
  `(() => { const field = document.querySelector('#uid'); field.value = '${uid}'; field.form.requestSubmit(); })()`;

/** The number of the row at the top of the window, and where it is; null while that is not laid out. */
const rowAtTop = `(() => {
  const row = document.elementFromPoint(innerWidth / 2, 0)?.closest('tr');
  return row ? [[...document.querySelectorAll('tr')].indexOf(row), Math.round(row.getBoundingClientRect().top)] : null;
})()`;

/** Defines the tests, for one browser and one site. */
export const defineEngineTests = <Opened extends Engine>(
  test: ReturnType<typeof testWith>,
  isThere: boolean,
  open: () => Promise<Opened>,
) => {
  setDefaultTimeout(240_000);
  const world = {} as { engine: Opened; site: Served };
  if (isThere) {
    beforeAll(async () => {
      Object.assign(world, { engine: await open(), site: serve(orders) });
    });
    afterAll(async () => {
      await world.engine?.close();
      await world.site?.stop();
    });
  }

  /** Acts in a tab at the page in English, and closes it. */
  const inTab = async (act: (tab: Tab, site: Served) => Promise<void>) => {
    const tab = await world.engine.openTab();
    try {
      await tab.goto(`${world.site.origin}/?lang=en`);
      await act(tab, world.site);
    } finally {
      await tab.close();
    }
  };

  test('an order is looked up by keyboard, announced, and axe finds nothing', () =>
    inTab(async (tab) => {
      await tab.type(`${plain.order_uid}\n`);
      await isShown(tab, plain.order_uid);
      expect(await text(tab, '#status')).toBe(`Order ${plain.order_uid} found.`);
      expect(await tab.evaluate<string>('location.search')).toBe(`?uid=${plain.order_uid}`);
      expect(await violations(tab.evaluate)).toEqual([]);
    }));

  test('the page fits and axe finds nothing where sums do not add up, also at 320 pixels', () =>
    inTab(async (tab, site) => {
      await tab.goto(`${site.origin}/?uid=${wrong.order_uid}`);
      expect(await text(tab, '.sum .differs')).toBe('≠ does not add up');
      for (const width of [1024, 320]) {
        await tab.resize(width);
        expect(await tab.evaluate<number>('document.body.scrollWidth - document.body.clientWidth')).toBe(0);
        const lines = `[...document.querySelectorAll('.top :is(h1 span, nav > a)')].map((part) => part.getClientRects().length).filter((lines) => lines > 0)`;
        expect(new Set(await tab.evaluate<number[]>(lines))).toEqual(new Set([1]));
        expect(await violations(tab.evaluate)).toEqual([]);
      }
      await tab.resize(1024);
    }));

  test('the items are a table to assistive technologies, on a phone as well', () =>
    inTab(async (tab, site) => {
      await tab.goto(`${site.origin}/?uid=${plain.order_uid}`);
      for (const width of [1024, 320]) {
        await tab.resize(width);
        const roles = { table: 'table', 'tbody tr': 'row', 'tbody th': 'rowheader', 'tbody td': 'cell' };
        for (const [part, role] of Object.entries(roles))
          expect([width, part, await tab.hasRole(`.items ${part}`, role)]).toEqual([width, part, true]);
      }
      await tab.resize(1024);
    }));

  test('a time has a dotted line, and its exact form is not copied with it', () =>
    inTab(async (tab, site) => {
      await tab.goto(`${site.origin}/?uid=${long.order_uid}`);
      const style = (selector: string, name: string) =>
        tab.evaluate<string>(
          `getComputedStyle(document.querySelector('${selector}')).getPropertyValue('${name}')`,
        );
      expect(await style('.placed .when', 'text-decoration-line')).toBe('underline');
      expect(await style('.placed .when', 'text-decoration-style')).toBe('dotted');
      const selected = await tab.evaluate<string>(
        `{
        getSelection().selectAllChildren(document.querySelector('.placed'));
        return getSelection().toString();
      }`
          .replace(/^\{/, '(() => {')
          .replace(/\}$/, '})()'),
      );
      expect(selected).toContain('2021');
      expect(selected).not.toContain('123456');
    }));

  test('the JSON can be copied without the clipboard API, as over plain HTTP', () =>
    inTab(async (tab, site) => {
      await tab.goto(`${site.origin}/?uid=${plain.order_uid}`);
      await tab.evaluate(`delete Navigator.prototype.clipboard`);
      const button = `document.querySelector('[data-copy-from]')`;
      await tab.evaluate(`${button}.focus()`);
      expect(await tab.evaluate<boolean>(`${button}.pretty.then((text) => text.startsWith('{'))`)).toBe(true);
      await tab.press('Enter');
      await eventually(() => tab.evaluate(`${button}.dataset.outcome`), 'Copied');
    }));

  test('Back leads to the very row where the reader was on a long order, with the focus on the order, though the response is slow', () =>
    inTab(async (tab, site) => {
      for (const width of [1024, 360]) {
        await tab.resize(width);
        await tab.goto(`${site.origin}/?uid=${long.order_uid}`);
        await tab.evaluate('scrollTo(0, 4000)');
        await eventually(async () => (await tab.evaluate(rowAtTop)) !== null, true, 30_000);
        const place = await tab.evaluate(rowAtTop);
        await tab.evaluate(`document.querySelector('#uid').focus({ preventScroll: true })`);
        await tab.evaluate(lookUp(plain.order_uid));
        await isShown(tab, plain.order_uid);
        const response = Promise.withResolvers<void>();
        site.before = response.promise;
        await tab.back();
        await eventually(() => tab.evaluate('location.search'), `?uid=${long.order_uid}`);
        // The page that is still shown scrolls; this timer ends after the one at whose end a place is kept.
        await tab.evaluate(
          `new Promise((resolve) => { dispatchEvent(new Event('scroll')); setTimeout(resolve, 400); })`,
        );
        response.resolve();
        await isShown(tab, long.order_uid);
        await eventually(() => tab.evaluate(rowAtTop), place);
        expect(await tab.evaluate<string>('document.activeElement.id')).toBe('order');
      }
      await tab.resize(1024);
    }));

  /** Lookups wait until the function that this returns is called. */
  const holdLookups = (site: Served) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    site.before = promise;
    return resolve;
  };
  const addressOf = (tab: Tab) => tab.evaluate<string>('location.search');

  test('Back and Forward, and another lookup after Back, end at one order and its address, though responses are slow', () =>
    inTab(async (tab, site) => {
      for (const { order_uid } of [wrong, plain]) {
        await tab.evaluate(lookUp(order_uid));
        await isShown(tab, order_uid);
      }
      const goBack = async () => {
        const release = holdLookups(site);
        const { lookups } = site;
        await tab.back();
        await eventually(async () => site.lookups, lookups + 1, 15_000);
        return release;
      };
      const releaseBoth = await goBack();
      await tab.evaluate('history.forward()');
      await eventually(() => addressOf(tab), `?uid=${plain.order_uid}`, 15_000);
      releaseBoth();
      await eventually(() => text(tab, '#status'), `Order ${plain.order_uid} found.`, 15_000);
      expect(await text(tab, '#order')).toBe(plain.order_uid);

      const releaseBack = await goBack();
      site.before = Promise.resolve();
      await tab.evaluate(lookUp(long.order_uid));
      await isShown(tab, long.order_uid);
      releaseBack();
      // As long as the late response would take.
      await tab.evaluate(`fetch('./', { cache: 'no-store' }).then((response) => response.text())`);
      expect(await text(tab, '#order')).toBe(long.order_uid);
      expect(await addressOf(tab)).toBe(`?uid=${long.order_uid}`);
      await tab.back();
      await isShown(tab, wrong.order_uid);
      expect(await addressOf(tab)).toBe(`?uid=${wrong.order_uid}`);
    }));

  test('a page that is left during a lookup reports no failure, and Back leads to its order', () =>
    inTab(async (tab, site) => {
      await tab.evaluate(lookUp(wrong.order_uid));
      await isShown(tab, wrong.order_uid);
      const release = holdLookups(site);
      const { lookups } = site;
      await tab.evaluate(lookUp(plain.order_uid));
      await eventually(async () => site.lookups, lookups + 1, 15_000);
      site.before = Promise.resolve();
      await tab.evaluate(`void setTimeout(() => { location.href = './?uid=${long.order_uid}'; })`);
      await eventually(() => text(tab, '#order').catch(() => null), long.order_uid, 15_000);
      release();
      await tab.back();
      await eventually(() => text(tab, '#order').catch(() => null), wrong.order_uid, 15_000);
    }));

  test('a column that is pasted is a list of orders', () =>
    inTab(async (tab) => {
      const pasted = JSON.stringify(`${wrong.order_uid}\r\nno-such-order\r\n${plain.order_uid}\r\n`);
      await tab.evaluate(`(() => {
        const clipboardData = new DataTransfer();
        clipboardData.setData('text', ${pasted});
        const event = new Event('paste', { bubbles: true, cancelable: true });
        Object.defineProperty(event, 'clipboardData', { value: clipboardData });
        document.querySelector('#uid').dispatchEvent(event);
      })()`);
      await tab.type('\n');
      const numbers = () =>
        tab.evaluate(`[...document.querySelectorAll('.rows bdi')].map((number) => number.textContent)`);
      await eventually(numbers, [wrong.order_uid, 'no-such-order', plain.order_uid], 30_000);
    }));

  test('a part of the page is in the page’s own language, whatever another tab has chosen', () =>
    inTab((tab) =>
      inTab(async (other, site) => {
        await other.goto(`${site.origin}/?lang=ru`);
        await tab.type(`${plain.order_uid}\n`);
        await isShown(tab, plain.order_uid);
        expect(await text(tab, '.delivery h3')).toBe('Delivery');
      }),
    ));

  test('seven tabs have one connection of the live list at most, and the last one looks an order up', async () => {
    const { engine, site } = world;
    const tabs: Tab[] = [];
    try {
      while (tabs.length < 7) {
        const tab = await engine.openTab();
        tabs.push(tab);
        await tab.goto(`${site.origin}/?lang=en`);
      }
      const last = tabs[6] as Tab;
      await connected(last);
      // Those of tabs that were closed before may still end.
      await eventually(async () => site.streams(), 1);
      await last.type(`${plain.order_uid}\n`);
      await isShown(last, plain.order_uid);
      site.publish([wrong]);
      await eventually(
        () => last.evaluate(`document.querySelector('#live a').title`),
        wrong.order_uid,
        30_000,
      );
    } finally {
      for (const tab of tabs) await tab.close();
    }
  });

  return world;
};
