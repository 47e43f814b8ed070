/**
 * `bun run screenshots`: takes the README's pictures into docs/screenshots/. The times in them are measured, on the embedded
 * PostgreSQL. Needs Chromium and the font Inter (Debian: fonts-inter).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { takeNoArguments } from '../src/cli/usage.ts';
import { startPostgres } from '../src/embedded/postgres.ts';
import { createLookup } from '../src/lookup/lookup.ts';
import { createMemoryCache } from '../src/lookup/memory-cache.ts';
import { createLog } from '../src/observability/log.ts';
import { createStore } from '../src/postgres/store.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { launch, linkTo } from '../test/support/chromium.ts';
import { createDatabase } from '../test/support/database.ts';
import { serve } from '../test/support/site.ts';
import { takeConsole } from './screenshots/console.ts';

takeNoArguments('Usage: bun run screenshots: takes the pictures of the README into docs/screenshots/');

const standIn = (family: string, font: string) =>
  `<match target="pattern"><test name="family"><string>${family}</string></test>
<edit name="family" mode="prepend" binding="strong"><string>${font}</string></edit></match>`;
const fonts = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include>
${standIn('sans-serif', 'Inter')}${standIn('sans', 'Inter')}${standIn('Liberation Mono', 'DejaVu Sans Mono')}
</fontconfig>`;
const folder = await mkdtemp(join(tmpdir(), 'screenshots-'));
await Bun.write(join(folder, 'fonts.conf'), fonts);

const makeOrder = createOrderMaker({ seed: 7, now: () => Date.now() - 3 * 3_600_000 });
const orders = Array.from({ length: 300 }, makeOrder);
const pick = (locale: string, items: number) => {
  const found = orders.find((order) => order.locale === locale && order.items.length === items);
  if (!found) throw new Error(`no order in ${locale} with ${items} items`);
  return found;
};
const english = pick('en', 2);
const russian = pick('ru', 2);

const log = createLog('warn', 'screenshots');
const postgres = await startPostgres({ dataDir: join(folder, 'data'), log });
const database = await createDatabase(postgres.url);
const store = createStore(database.sql);
await store.save(orders);
const lookup = createLookup({ memory: createMemoryCache(1000), redis: undefined, store });
// Warm up, as a server that has been running for a while.
for (const { order_uid } of orders.slice(10)) await lookup.find(order_uid);

const site = serve(orders, { lookup });
const browser = await launch({ FONTCONFIG_FILE: join(folder, 'fonts.conf') });

const take = async (name: string, options: BrowserContextOptions, act: (page: Page) => Promise<unknown>) => {
  const context = await browser.newContext({ baseURL: site.origin, timezoneId: 'Europe/Moscow', ...options });
  const page = await context.newPage();
  await act(page);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: `${import.meta.dir}/../docs/screenshots/${name}.png` });
  await context.close();
};

/** Fills the live list, as if orders had been arriving for a while. */
const fillLive = async (page: Page) => {
  for (const order of orders.slice(0, 8)) {
    site.publish([order]);
    await page.locator(`#live a[title="${order.order_uid}"]`).waitFor();
  }
};
/** The second lookup is answered from memory; the lookups in between fill the list of recent ones. */
const open = async (page: Page, uid: string) => {
  for (const other of [...orders.slice(0, 2).map((order) => order.order_uid), uid])
    await page.goto(linkTo(other));
  await page.goto(linkTo(uid));
};
const wide = { viewport: { width: 1080, height: 720 } };

await take('page', { ...wide, locale: 'en-GB' }, async (page) => {
  await page.goto('/');
  await fillLive(page);
});
await take('order', { viewport: { width: 1080, height: 792 }, locale: 'en-GB' }, (page) =>
  open(page, english.order_uid),
);
await take('dark', { ...wide, locale: 'ru-RU', colorScheme: 'dark' }, (page) =>
  open(page, russian.order_uid),
);
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
await take('phone', { ...phone, locale: 'en-GB' }, (page) => open(page, english.order_uid));

await takeConsole({
  postgresUrl: postgres.url,
  folder,
  orders: Array.from({ length: 3_000 }, makeOrder),
  take: (name, baseURL, act) =>
    take(name, { baseURL, viewport: { width: 1080, height: 900 }, locale: 'en-GB' }, act),
});

await browser.close();
await site.stop();
await database[Symbol.asyncDispose]();
await postgres.stop();
await rm(folder, { recursive: true });
