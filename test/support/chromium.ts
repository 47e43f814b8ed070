import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
  type Request,
} from 'playwright-core';
import type { Order } from '../../src/order/order.ts';
import type { Engine } from './engine-tests.ts';
import { type Served, type SiteOptions, serve } from './site.ts';
import { testWith } from './test-with.ts';

const executablePath = Bun.which('chromium');

export const test = testWith(executablePath !== null, 'Chromium (Debian: chromium)');

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Each visit has a context of its own, and a process for each of them takes longer than most tests.
  '--renderer-process-limit=1',
];

export const launch = (environment: Record<string, string> = {}, extraFlags: readonly string[] = []) => {
  if (!executablePath) throw new Error('there is no Chromium (Debian: chromium)');
  return chromium.launch({
    executablePath,
    args: [...flags, ...extraFlags],
    env: { ...process.env, ...environment },
  });
};

export type Visit = { page: Page; context: BrowserContext; site: Served; requests: Request[] };

type VisitOptions = BrowserContextOptions &
  SiteOptions & {
    width?: number;
    orders: readonly Order[];
    /** Console messages that the test expects. */
    expected?: RegExp;
  };

/** Chromium logs this for every response that is not a success. */
const unsuccessful = /^Failed to load resource: the server responded with a status of (400|404|503)/;

/**
 * Opens one browser for the tests of the calling file. A visit is to a site of its own, and fails when anything is logged on the console
 * or requested from another host.
 */
export const openChromium = () => {
  let browser: Browser;
  setDefaultTimeout(180_000);
  if (executablePath) {
    beforeAll(async () => {
      browser = await launch();
    });
    afterAll(() => browser.close());
  }
  return async (options: VisitOptions, act: (visit: Visit) => Promise<void>) => {
    const {
      width = 768,
      orders,
      liveFeed = true,
      docs = false,
      basePath = '',
      events,
      expected = unsuccessful,
      ...rest
    } = options;
    const site = serve(orders, { liveFeed, docs, basePath, events });
    const context = await browser.newContext({
      viewport: { width, height: 800 },
      locale: 'en-GB',
      timezoneId: 'Europe/Moscow',
      permissions: ['clipboard-read', 'clipboard-write'],
      baseURL: site.origin,
      ...rest,
    });
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    const said: string[] = [];
    const requests: Request[] = [];
    page.on('console', (message) => {
      if (!expected.test(message.text())) said.push(message.text());
    });
    page.on('pageerror', (error) => said.push(`${error}`));
    page.on('dialog', (dialog) => {
      said.push(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    page.on('request', (request) => requests.push(request));
    try {
      await act({ page, context, site, requests });
      expect(said).toEqual([]);
      expect(
        requests.map((request) => request.url()).filter((url) => new URL(url).origin !== site.origin),
      ).toEqual([]);
    } finally {
      await context.close();
      await site.stop();
    }
  };
};

export const widths = [360, 768, 1440];

/** Checks the page at every width. */
export const atEveryWidth = async (page: Page, check: (width: number) => Promise<void>) => {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 800 });
    try {
      await check(width);
    } catch (error) {
      throw new Error(`At ${width} px: ${(error as Error).message}`, { cause: error });
    }
  }
};

export const withAndWithoutScript = [true, false].map((javaScriptEnabled) => ({
  javaScriptEnabled,
  how: javaScriptEnabled ? 'with JavaScript' : 'without JavaScript',
}));

export const linkTo = (uid: string) => `/?uid=${encodeURIComponent(uid)}`;

/** Chromium as one of the three engines. */
export const openChromiumEngine = async (): Promise<Engine> => {
  const browser = await launch();
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1024, height: 800 } });
  return {
    async openTab() {
      const page = await context.newPage();
      page.on('dialog', (dialog) => dialog.accept());
      return {
        goto: async (url) => void (await page.goto(url)),
        evaluate: <Value>(expression: string) => page.evaluate(expression) as Promise<Value>,
        type: async (text) => {
          for (const [index, line] of text.split('\n').entries()) {
            if (index > 0) await page.keyboard.press('Enter');
            await page.keyboard.type(line);
          }
        },
        press: (key) => page.keyboard.press(key === ' ' ? 'Space' : key),
        async hasRole(selector, role) {
          const session = await context.newCDPSession(page);
          const { root } = await session.send('DOM.getDocument');
          const { nodeId } = await session.send('DOM.querySelector', { nodeId: root.nodeId, selector });
          const { nodes } = await session.send('Accessibility.getPartialAXTree', {
            nodeId,
            fetchRelatives: false,
          });
          await session.detach();
          return nodes[0]?.role?.value === role;
        },
        back: async () => void (await page.goBack()),
        resize: (width) => page.setViewportSize({ width, height: 800 }),
        close: () => page.close(),
      };
    },
    close: () => browser.close(),
  };
};
