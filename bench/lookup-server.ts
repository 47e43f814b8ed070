/**
 * The servers that `bench/lookup.ts` compares: `ours` is the program's HTTP part with a single tier, `bare` a Bun.serve that does the
 * same work and nothing else. Prints its port when it listens.
 *
 *   bun bench/lookup-server.ts ours|ours-limited|bare|bare-body memory|redis|postgres
 */
import Redis from 'ioredis';
import { createApp } from '../src/http/app.ts';
import { createHostCheck } from '../src/http/host.ts';
import { createRateLimit } from '../src/http/rate-limit.ts';
import { createRequestCounts } from '../src/http/request-counts.ts';
import { createOrderRoute } from '../src/http/routes/order.ts';
import { createLookup } from '../src/lookup/lookup.ts';
import { createMemoryCache, type MemoryCache } from '../src/lookup/memory-cache.ts';
import { createRedisCache } from '../src/lookup/redis-cache.ts';
import { createLog } from '../src/observability/log.ts';
import { encodeOrder } from '../src/order/encoded-order.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import { createStore } from '../src/postgres/store.ts';

const [side, tier] = process.argv.slice(2);
const { BENCH_DATABASE = '', REDIS_URL = '' } = process.env;
const log = createLog('silent', 'bench');
const store = createStore(openDatabase({ url: BENCH_DATABASE, connections: 10, name: 'bench' }));
const uids = await store.newest(1000);

/** Always empty, so that the next tier answers every lookup. */
const emptyCache: MemoryCache = {
  get: () => undefined,
  put() {},
  uids: () => [],
  remove() {},
  size: () => 0,
  evictions: () => 0,
};

const ours = async () => {
  const memory = tier === 'memory' ? createMemoryCache(1000) : emptyCache;
  const redis = tier === 'redis' ? createRedisCache({ url: REDIS_URL, limit: 1000, log }) : undefined;
  if (redis) while (redis.isBypassed()) await Bun.sleep(10);
  for (const uid of uids) {
    const document = encodeOrder((await store.find(uid)) ?? '');
    memory.put(uid, document);
    await redis?.put(uid, document);
  }
  const lookup = createLookup({ memory, redis, store });
  const app = createApp({
    routes: [createOrderRoute(lookup)],
    requests: createRequestCounts(),
    rateLimit: side === 'ours-limited' ? createRateLimit(1e9) : undefined,
    checkHost: createHostCheck({ names: null, loopbackOnly: false }),
    trustedProxies: 0,
    log,
  });
  const addressOf = (request: Request): string | undefined => server.requestIP(request)?.address;
  return (request: Request) => app.fetch(request, addressOf);
};

const headers = { 'content-type': 'application/json' };
const [cacheStatus, serverTiming] =
  tier === 'memory'
    ? ['memory; hit', 'memory;dur=0.001']
    : tier === 'redis'
      ? ['memory; fwd=miss, redis; hit', 'memory;dur=0.001, redis;dur=0.123']
      : ['memory; fwd=miss', 'memory;dur=0.001, postgres;dur=1.234'];
/** The head of our answers, with constant values. */
const whole = {
  ...headers,
  'cache-control': 'private',
  'cache-status': cacheStatus,
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  etag: '"2xxw1dd0nv9ju"',
  'server-timing': serverTiming,
  'x-content-type-options': 'nosniff',
  'x-request-id': '0b5f6d0c-6f0e-4d0a-9a53-2f1e6f6d7c11',
};
const sent = side === 'bare' ? whole : headers;
const uidOf = (request: Request) => request.url.slice(request.url.lastIndexOf('/') + 1);

const bare: Record<string, () => Promise<(request: Request) => Response | Promise<Response>>> = {
  async memory() {
    const bodies = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const uid of uids) bodies.set(uid, encodeOrder((await store.find(uid)) ?? '').body);
    return (request) => new Response(bodies.get(uidOf(request)), { headers: sent });
  },
  async redis() {
    const redis = new Redis(REDIS_URL, { enableAutoPipelining: true });
    return async (request) => {
      const body = await redis.hgetBuffer('{orders}:documents', uidOf(request));
      return new Response(body as Buffer<ArrayBuffer>, { headers: sent });
    };
  },
  async postgres() {
    return async (request) => new Response(await store.find(uidOf(request)), { headers: sent });
  },
};

const fetch = side?.startsWith('ours') ? await ours() : await bare[tier ?? '']?.();
if (!fetch) throw new Error(`no such server: ${side} ${tier}`);
const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch });
console.log(server.port);
