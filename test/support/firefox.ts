/** Firefox, by WebDriver BiDi. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type Page } from 'puppeteer-core';
import type { Engine, Tab } from './engine-tests.ts';

const executablePath = Bun.which('firefox-esr') ?? Bun.which('firefox');

export const hasFirefox = executablePath !== null;

export const openFirefox = async () => {
  if (!executablePath) throw new Error('there is no Firefox (Debian: firefox-esr)');
  // As root it refuses a home that belongs to somebody else.
  const home = await mkdtemp(join(tmpdir(), 'firefox-'));
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    env: { ...process.env, HOME: home },
    extraPrefsFirefox: { 'intl.accept_languages': 'en-GB' },
  });

  const toTab = (page: Page): Tab => {
    page.on('dialog', (dialog) => dialog.accept());
    return {
      goto: async (url) => void (await page.goto(url)),
      evaluate: <Value>(expression: string) => page.evaluate(expression) as Promise<Value>,
      async type(text) {
        for (const [index, line] of text.split('\n').entries()) {
          if (index > 0) await page.keyboard.press('Enter');
          await page.keyboard.type(line);
        }
      },
      press: (key) => page.keyboard.press(key),
      async hasRole(selector, role) {
        for (const element of await page.$$(`aria/[role="${role}"]`))
          if (await element.evaluate((one, first) => one === document.querySelector(first), selector))
            return true;
        return false;
      },
      back: async () => void (await page.evaluate('history.back()')),
      resize: (width) => page.setViewport({ width, height: 800 }),
      close: () => page.close(),
    };
  };

  return {
    openTab: async () => toTab(await browser.newPage()),
    /** A tab that is not shown. */
    openHiddenTab: async () => {
      const page = await browser.newPage({ background: true });
      return { ...toTab(page), show: () => page.bringToFront() };
    },
    async close() {
      await browser.close();
      await rm(home, { recursive: true, force: true });
    },
  } satisfies Engine & Record<string, unknown>;
};
