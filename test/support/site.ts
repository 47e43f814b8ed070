import { Elysia } from 'elysia';
import { createApp } from '../../src/http/app.ts';
import { underBasePath } from '../../src/http/base-path.ts';
import { createFeed } from '../../src/http/feed.ts';
import { createHostCheck } from '../../src/http/host.ts';
import { createCharge } from '../../src/http/rate-limit.ts';
import { createOrderRoute } from '../../src/http/routes/order.ts';
import { createOrdersRoute } from '../../src/http/routes/orders.ts';
import { createSwaggerRoute } from '../../src/http/routes/swagger.ts';
import type { Answer, Lookup } from '../../src/lookup/lookup.ts';
import { Unavailable } from '../../src/lookup/order-query.ts';
import { encodeOrder } from '../../src/order/encoded-order.ts';
import type { Order } from '../../src/order/order.ts';
import { createAssets, createPage } from '../../src/page/handler.tsx';
import { silent } from './database.ts';

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
    findAll: (uids) =>
      Promise.all(
        uids.map(async (uid) => {
          try {
            return await lookup.find(uid);
          } catch (error) {
            if (error instanceof Unavailable) return error;
            throw error;
          }
        }),
      ),
    async findOtherCases(uids) {
      if (world.down) throw new Unavailable('down');
      return uids.map((uid) =>
        [...documents.keys()].filter((other) => other.toLowerCase() === uid.toLowerCase()).slice(0, 2),
      );
    },
    lastHitMs: (tier) => (tier === 'postgres' && asked.size > 0 ? 4 : undefined),
  };
  return Object.assign(world, { lookup });
};

export type SiteOptions = {
  liveFeed?: boolean;
  /** With Swagger UI. */
  docs?: boolean;
  basePath?: string;
  /** In place of the program's live list, which `open` opens. */
  events?: ((open: () => Response) => Response) | undefined;
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
      createPage({ lookup, assets: createAssets(liveFeed) }),
      createOrderRoute(lookup),
      createOrdersRoute({ lookup, charge: createCharge(undefined) }),
      new Elysia().get('/events', () => events?.(open) ?? open()),
      ...(docs ? [createSwaggerRoute({ basePath })] : []),
    ],
    checkHost: createHostCheck({ names: null, loopbackOnly: false }),
    trustedProxies: 0,
    log: silent,
  });
  const { fetch } = underBasePath(basePath, app);
  /** The paths that were requested. */
  const requested: string[] = [];
  const listen = (port: number) =>
    Bun.serve({
      port,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      fetch(request) {
        requested.push(new URL(request.url).pathname);
        return fetch(request);
      },
    });
  let server = listen(0);
  const port = Number(server.port);
  return Object.assign(world, {
    origin: `http://127.0.0.1:${port}`,
    requested,
    /** Removes orders from the live list, as after an erasure. */
    erase: (uids: readonly string[]) => feed.remove(uids),
    /** The orders of the live list that the program would notice to be erased. */
    held: () => feed.uids(),
    /** Connections of the live list. */
    streams: () => feed.subscribers(),
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
