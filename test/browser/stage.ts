import { expect } from 'bun:test';
import { Elysia } from 'elysia';
import {
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
  type Request,
} from 'playwright-core';
import { createApp } from '../../src/http/app.ts';
import { underBasePath } from '../../src/http/base-path.ts';
import { createFeed } from '../../src/http/feed.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createOrderRoute } from '../../src/http/routes/order.ts';
import { createSwaggerRoute } from '../../src/http/routes/swagger.ts';
import type { Answer, Lookup } from '../../src/lookup/lookup.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import { encodeOrder } from '../../src/order/encoded-order.ts';
import type { Order } from '../../src/order/order.ts';
import { createPage } from '../../src/page/handler.tsx';
import { silent } from '../support/database.ts';

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launch = (executablePath: string, environment: Record<string, string> = {}) =>
  chromium.launch({ executablePath, args: flags, env: { ...process.env, ...environment } });

/** Orders that a lookup finds: the first time in PostgreSQL, then in memory. */
export const createWorld = (orders: readonly Order[]) => {
  const documents = new Map(orders.map((order) => [order.order_uid, encodeOrder(JSON.stringify(order))]));
  const asked = new Set<string>();
  const world = {
    /** PostgreSQL does not answer. */
    down: false,
    /** A lookup waits for this. */
    before: Promise.resolve(),
    lookups: 0,
  };
  const lookup: Lookup = {
    async find(uid): Promise<Answer> {
      world.lookups++;
      await world.before;
      const document = documents.get(uid);
      if (document && asked.has(uid))
        return { document, steps: [{ tier: 'memory', hit: true, durationMs: 0.02 }] };
      if (world.down) throw new Unavailable('down');
      if (document) asked.add(uid);
      const steps = [
        { tier: 'memory', hit: false, durationMs: 0.01 },
        { tier: 'postgres', hit: document !== undefined, durationMs: 3.9 },
      ] as const;
      return { document, steps };
    },
    lastHitMs: (tier) => (tier === 'postgres' && asked.size > 0 ? 4 : undefined),
  };
  return Object.assign(world, { lookup });
};

type SiteOptions = {
  liveFeed?: boolean;
  /** With Swagger UI. */
  docs?: boolean;
  basePath?: string;
  /** Replaces the program's live list. */
  events?: (() => Response) | undefined;
  /** Replaces the world's. */
  lookup?: Lookup;
};

/** The page served as the program serves it, on a port of its own. */
export const serve = (
  orders: readonly Order[],
  { liveFeed = true, docs = false, basePath = '', events, lookup: own }: SiteOptions = {},
) => {
  const world = createWorld(orders);
  const lookup = own ?? world.lookup;
  let feed = createFeed();
  const open = () => new Response(feed.open(), { headers: { 'content-type': 'text/event-stream' } });
  const app = createApp({
    routes: [
      createPage({ lookup, liveFeed }),
      createOrderRoute(lookup),
      new Elysia().get('/events', events ?? open),
      ...(docs ? [createSwaggerRoute({ basePath })] : []),
    ],
    checkHost: createHostCheck({ names: null, loopbackOnly: false }),
    trustedProxies: 0,
    log: silent,
  });
  const { fetch } = underBasePath(basePath, app);
  const listen = (port: number) =>
    Bun.serve({ port, hostname: '127.0.0.1', idleTimeout: 0, fetch: (request) => fetch(request) });
  let server = listen(0);
  const port = Number(server.port);
  return Object.assign(world, {
    origin: `http://127.0.0.1:${port}`,
    publish: (orders: readonly Order[]) =>
      feed.publish(
        orders.map((order) => ({
          uid: order.order_uid,
          placed: order.date_created,
          items: order.items.length,
          amount: order.payment.amount,
          currency: order.payment.currency,
          stored: new Date().toISOString(),
        })),
      ),
    async stop() {
      feed.close();
      await server.stop(true);
    },
    start() {
      feed = createFeed();
      server = listen(port);
    },
  });
};

export type Served = ReturnType<typeof serve>;

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

/** A visit to a site of its own, which fails when anything is logged on the console or requested from another host. */
export const createVisit =
  (browser: () => Awaited<ReturnType<typeof launch>>) =>
  async (options: VisitOptions, act: (visit: Visit) => Promise<void>) => {
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
    const context = await browser().newContext({
      viewport: { width, height: 800 },
      locale: 'en-GB',
      timezoneId: 'Europe/Moscow',
      permissions: ['clipboard-read', 'clipboard-write'],
      baseURL: site.origin,
      ...rest,
    });
    context.setDefaultTimeout(10_000);
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

export type OpenVisit = ReturnType<typeof createVisit>;

export const widths = [360, 768, 1440];

/** Every width, with and without JavaScript. */
export const everywhere = widths.flatMap((width) =>
  [true, false].map((javaScriptEnabled) => ({ width, javaScriptEnabled })),
);

export const linkTo = (uid: string) => `/?uid=${encodeURIComponent(uid)}`;

/** Waits until `found` returns what is expected, and otherwise fails with the difference. */
export const eventually = async <Value>(found: () => Promise<Value>, expected: Value, within = 5_000) => {
  const deadline = Date.now() + within;
  let value = await found();
  while (!Bun.deepEquals(value, expected) && Date.now() < deadline) {
    await Bun.sleep(20);
    value = await found();
  }
  expect<unknown>(value).toEqual(expected);
};
