/** What every browser engine has to do with the console, by keyboard alone. Everything else is tested in Chromium. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test';
import type { RunOptions } from 'axe-core';
import { colourRules, violations } from './axe.ts';
import { buildOrder } from './build-order.ts';
import { type ConsoleSite, openConsoleSite } from './console-site.ts';
import { type Engine, type Tab, text } from './engine-tests.ts';
import { eventually } from './eventually.ts';
import { until } from './kafka-and-postgres.ts';
import { anna } from './open-console.ts';
import type { testWith } from './test-with.ts';

const pages = ['', 'orders', 'orders?q=nothing-has-this', 'dead-letters?state=all', 'letter?id=0/0'];
/** Enough for any control of a page of the console. */
const mostTabs = 80;

/** Whether the focus is on what the selector names. */
const isFocused = (tab: Tab, selector: string) =>
  tab.evaluate<boolean>(`document.activeElement.matches(${JSON.stringify(selector)})`);

/** Presses Tab until the focus is there. */
const tabTo = async (tab: Tab, selector: string) => {
  for (let n = 0; n < mostTabs; n++) {
    if (await isFocused(tab, selector)) return;
    await tab.press('Tab');
  }
  throw new Error(`Tab does not lead to ${selector}`);
};

/** Presses what the selector names, again where a busy browser has lost the key: what it presses is then not clicked. */
const enter = async (tab: Tab, selector: string) => {
  await tabTo(tab, selector);
  await tab.evaluate(
    `void (window.isClicked = false, document.activeElement.addEventListener('click', () => { window.isClicked = true; }))`,
  );
  // Another page may be there already, or be on its way.
  const isClicked = () => tab.evaluate('window.isClicked !== false').catch(() => true);
  for (let attempt = 0; attempt < 5; attempt++) {
    await tab.press('Enter');
    if (await until(isClicked, 3_000).catch(() => false)) return;
  }
  throw new Error(`Enter does not press ${selector}`);
};

/**
 * Waits until an expression has this value in a page that is complete: the end of loading may take the focus, and a key that was pressed
 * before would be lost. While one page replaces another, nothing can be evaluated.
 */
const becomes = (tab: Tab, expression: string, value: unknown) =>
  eventually(
    () =>
      tab
        .evaluate<unknown>(`document.readyState === 'complete' ? (${expression}) : document.readyState`)
        .catch(() => undefined),
    value,
    30_000,
  );

/** Waits for a page that has this. */
const isThere = (tab: Tab, selector: string) =>
  becomes(tab, `document.querySelector(${JSON.stringify(selector)}) !== null`, true);

/** Waits until what the selector names has this text. A failure shows the text of the page. */
const contains = (tab: Tab, selector: string, part: string) =>
  becomes(
    tab,
    `document.querySelector(${JSON.stringify(selector)})?.textContent.includes(${JSON.stringify(part)}) || document.body.innerText`,
    true,
  );

/** Keeps the orders apart. */
const suffixOf = (hasScripts: boolean) => (hasScripts ? 'a' : 'b');

const wrongOrder = (uid: string) => ({ ...buildOrder({ order_uid: uid }), locale: 'de' });

type Flow = 'order' | 'letter' | 'selection';

/** What one engine does for all, as it depends on none of them. */
type Share = {
  /** The flows that it also does without scripts. */
  withoutScripts: readonly Flow[];
  /** Whether it looks at each state with axe. */
  axe: boolean;
};

/** Defines the tests, for one browser and one console. */
export const defineConsoleTests = (
  test: ReturnType<typeof testWith>,
  hasEngine: boolean,
  open: () => Promise<Engine>,
  { withoutScripts, axe }: Share,
) => {
  setDefaultTimeout(240_000);
  let engine: Engine;
  let site: ConsoleSite;
  if (hasEngine) {
    beforeAll(async () => {
      [engine, site] = await Promise.all([open(), openConsoleSite()]);
      await site.send({ key: 'k', value: JSON.stringify(wrongOrder('first-letter')) });
    });
    afterAll(async () => {
      await engine?.close();
      await site?.[Symbol.asyncDispose]();
    });
  }

  /** Acts at a page of the console in English, logged in, and closes the tab. */
  const inTab = async (path: string, act: (tab: Tab) => Promise<void>) => {
    const tab = await engine.openTab();
    try {
      await tab.goto(`${site.origin}/console/login?lang=en`);
      await becomes(tab, 'document.activeElement.id', 'token');
      await tab.type(`${anna.token}\n`);
      await isThere(tab, '.menu');
      if (path !== '') await tab.goto(`${site.origin}/console/${path}`);
      await act(tab);
    } finally {
      site.hasScripts = true;
      await tab.close();
    }
  };

  const expectAccessible = async (tab: Tab, state: readonly unknown[], rules: RunOptions = {}) => {
    if (axe) expect([...state, await violations(tab.evaluate, rules)]).toEqual([...state, []]);
  };

  const sendLetters = (...uids: string[]) =>
    site.send(...uids.map((uid) => ({ key: uid, value: JSON.stringify(wrongOrder(uid)) })));

  test('a wrong token is refused in words, the right one leads to the plots, and a logout ends it', () =>
    inTab('', async (tab) => {
      await becomes(tab, `document.querySelectorAll('.plots[data-state=drawn] canvas').length`, 6);
      await eventually(async () => site.listeners.size > 0, true, 30_000);
      await enter(tab, '.plots summary');
      await contains(tab, '.plots details[open] table', 'PostgreSQL, p99');
      // Firefox leaves the page at its end: so from the beginning of one.
      await tab.goto(`${site.origin}/console/dead-letters`);
      await enter(tab, '.menu form button');
      await becomes(tab, 'document.activeElement.id', 'token');
      await tab.type('not-the-right-token\n');
      await contains(tab, '[role=alert]', 'No operator has this token.');
      await becomes(tab, 'document.activeElement.id', 'token');
    }));

  /** Defines a test with scripts, and one without. */
  const testBoth = (flow: Flow, name: string, act: (hasScripts: boolean) => Promise<void>) => {
    test(name, () => act(true));
    if (withoutScripts.includes(flow)) test(`${name}, without scripts`, () => act(false));
  };

  testBoth('order', 'an order is found by its phone number, and both exports hold it', (hasScripts) =>
    inTab('orders', async (tab) => {
      site.hasScripts = hasScripts;
      const phone = hasScripts ? '+79770000011' : '+79770000012';
      await site.desk.pipeline.store.save([
        buildOrder({ order_uid: `by-phone-${suffixOf(hasScripts)}`, delivery: { phone } }),
      ]);
      await tab.goto(`${site.origin}/console/orders?q=nothing-has-this`);
      await tabTo(tab, '[name=q]');
      await tab.evaluate(`document.activeElement.select()`);
      await tab.type(`8${phone.slice(2)}\n`);
      await contains(tab, '.found h2', 'Found by phone');
      expect(await text(tab, 'tbody th')).toBe(`by-phone-${suffixOf(hasScripts)}`);
      for (const [format, start] of [
        ['csv', '\ufefforder_uid,'],
        ['ndjson', '{"order_uid"'],
      ] as const) {
        await tabTo(tab, `.export a[href*="format=${format}"]`);
        const body = await tab.evaluate<string>(
          `fetch(document.activeElement.href).then((response) => response.arrayBuffer()).then((bytes) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))`,
        );
        expect(body).toStartWith(start);
        expect(body).toContain(`by-phone-${suffixOf(hasScripts)}`);
      }
    }),
  );

  testBoth(
    'letter',
    'a letter is found by its number, edited, checked, sent again and stored',
    (hasScripts) =>
      inTab('', async (tab) => {
        site.hasScripts = hasScripts;
        const uid = `edited-letter-${suffixOf(hasScripts)}`;
        await sendLetters(uid);
        await enter(tab, '.menu a[href="./dead-letters"]');
        await isThere(tab, '.filter');
        await tabTo(tab, '.filter [name=uid]');
        await tab.type(`${uid}\n`);
        await becomes(tab, `document.querySelectorAll('tbody tr').length`, 1);
        await enter(tab, 'tbody th a');
        await contains(tab, '.faulty', 'is not one of en, ru');
        await tabTo(tab, '[name=value]');
        const at = `document.activeElement.value.indexOf('"de"')`;
        await tab.evaluate(`document.activeElement.setSelectionRange(${at} + 1, ${at} + 3)`);
        await tab.type('en');
        if (!hasScripts) await enter(tab, '[value=check]');
        await contains(tab, '#check', 'This is a valid order.');
        await enter(tab, '[value=edited]');
        await contains(tab, '.outcome', '1 sent again, 0 skipped.');
        await expectAccessible(tab, ['sent']);
        await until(() => site.desk.pipeline.store.find(uid as never));
      }),
  );

  test('what is edited and checked stays when Back leads over the skip link', () =>
    inTab('', async (tab) => {
      const uid = 'edited-and-back';
      await sendLetters(uid);
      await tab.goto(`${site.origin}/console/dead-letters?uid=${uid}`);
      await enter(tab, 'tbody th a');
      await isThere(tab, '[name=value][data-htmx-powered]');
      await tab.evaluate(`(() => {
        const value = document.querySelector('[name=value]');
        value.value = value.value.replace('"de"', '"en"');
        value.dispatchEvent(new Event('input', { bubbles: true }));
      })()`);
      await contains(tab, '#check', 'This is a valid order.');
      await tab.evaluate(`document.querySelector('.skip').click()`);
      await becomes(tab, 'location.hash', '#content');
      await tab.back();
      await becomes(tab, 'location.hash', '');
      // As long as a page that is loaded anew takes.
      await tab.evaluate(`fetch(location, { cache: 'no-store' }).then((response) => response.text())`);
      await contains(tab, '#check', 'This is a valid order.');
      expect(await tab.evaluate<string>(`document.querySelector('[name=value]').value`)).toContain('"en"');
    }));

  testBoth('selection', 'a selected letter is tried, discarded and taken back', (hasScripts) =>
    inTab('', async (tab) => {
      site.hasScripts = hasScripts;
      const uid = `discarded-letter-${suffixOf(hasScripts)}`;
      await sendLetters(uid);
      const list = `${site.origin}/console/dead-letters?uid=${uid}`;
      await tab.goto(list);
      for (const [action, outcome] of [
        ['try', '0 would be sent again, 1 would be skipped. Nothing has been sent.'],
        ['discard', '1 discarded.'],
      ] as const) {
        await tabTo(tab, '[name=letter]');
        await tab.press(' ');
        await enter(tab, `.change [value=${action}]`);
        await contains(tab, '.outcome', outcome);
        await expectAccessible(tab, [action]);
        await enter(tab, 'main p a[href*=dead-letters]:not(.button)');
        await isThere(tab, '.filter');
      }
      await contains(tab, '.empty', 'No letters match.');
      await tab.goto(`${list}&state=discarded`);
      await tabTo(tab, '[name=scope]');
      await tab.press('ArrowDown');
      await enter(tab, '[value=restore]');
      await contains(tab, '.outcome', '1 taken back.');
      await tab.goto(list);
      await isThere(tab, 'tbody tr');
    }),
  );

  for (const [language, theme] of [
    ['en', 'light'],
    ['ru', 'dark'],
  ] as const)
    test(`every page fits, also at 320 pixels${axe ? ', and axe finds nothing' : ''}: ${language}, ${theme}`, () =>
      inTab('', async (tab) => {
        await tab.goto(`${site.origin}/console/?lang=${language}`);
        await tab.goto(`${site.origin}/console/?theme=${theme}`);
        for (const page of pages) {
          await tab.goto(`${site.origin}/console/${page}`);
          for (const width of [1024, 320]) {
            await tab.resize(width);
            const wider = () => tab.evaluate<number>('document.body.scrollWidth - document.body.clientWidth');
            // The plots get their width after the window.
            await eventually(async () => [page, width, await wider()], [page, width, 0]);
            await expectAccessible(tab, [page, width], width === 320 ? colourRules : {});
          }
          await tab.resize(1024);
        }
      }));
};
