/** The console's pictures, of a program that runs for some minutes under a load: what they show is measured. */
import { join } from 'node:path';
import { startBroker } from 'kafka-broker';
import type { Page } from 'playwright-core';
import type { Order } from '../../src/order/order.ts';
import { createStore } from '../../src/postgres/store.ts';
import { createDatabase } from '../../test/support/database.ts';
import { startProgram } from '../../test/support/program.ts';
import { until } from '../../test/support/until.ts';

const minutes = 4;
const lookupsPerSecond = 60;
const token = 'a-token-of-the-pictures';

type Options = {
  postgresUrl: string;
  folder: string;
  /** More than the cache holds. */
  orders: readonly Order[];
  take: (name: string, origin: string, act: (page: Page) => Promise<unknown>) => Promise<void>;
};

export const takeConsole = async ({ postgresUrl, folder, orders, take }: Options) => {
  await using stack = new AsyncDisposableStack();
  const broker = await startBroker({ dataDir: join(folder, 'kafka'), port: 0 });
  stack.defer(broker.stop);
  const database = stack.use(await createDatabase(postgresUrl));
  await createStore(database.sql).save(orders);
  const environment = { KAFKA_BROKERS: broker.brokers, KAFKA_DLQ_TOPIC: 'orders_dlq', HOSTNAME: 'orders-1' };
  const program = stack.use(
    startProgram({
      ...environment,
      DATABASE_URL: database.url,
      CONSOLE_TOKENS: `anna:${token}`,
      RATE_LIMIT: '0',
      STOP_DELAY: '0',
    }),
  );
  const origin = await program.url();
  await until(async () => (await (await fetch(`${origin}/readyz`)).json()).status === 'ready', 60_000);
  stack.use(startProgram(environment, ['producer.ts', '--rate', '20', '--invalid', '0.02', '--quiet']));

  let isOver = false;
  const load = async () => {
    while (!isOver) {
      // Most lookups are of few orders.
      const at = Math.floor(orders.length * Math.random() ** 4);
      const response = await fetch(`${origin}/order/${encodeURIComponent(orders[at]?.order_uid ?? '')}`);
      await response.text();
      await Bun.sleep(1_000 / lookupsPerSecond);
    }
  };
  const loading = load();
  stack.defer(async () => {
    isOver = true;
    await loading;
  });
  await Bun.sleep(minutes * 60_000);

  const logIn = async (page: Page, path: string) => {
    await page.goto(`/console/login`);
    await page.fill('#token', token);
    await page.keyboard.press('Enter');
    await page.locator('.menu').waitFor();
    await page.goto(`/console/${path}`);
  };
  await take('console', origin, async (page) => {
    await logIn(page, '');
    await page.locator('.plots[data-state=drawn]').waitFor();
    await page.locator('.u-legend', { hasText: /\d%/ }).first().waitFor();
    await page.locator('.windows').evaluate((part) => part.scrollIntoView());
  });
  await take('console-orders', origin, (page) => logIn(page, 'orders'));
  await take('console-letters', origin, (page) => logIn(page, 'dead-letters'));
  await take('console-letter', origin, async (page) => {
    await logIn(page, 'dead-letters?stage=validate');
    await page.click('tbody th a');
    await page
      .locator('.faulty')
      .first()
      .evaluate((line) => line.scrollIntoView({ block: 'center' }));
    await page.evaluate(() => scrollTo(0, 0));
  });
};
