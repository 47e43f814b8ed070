import { type AnyElysia, Elysia } from 'elysia';
import type { Lookup } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import type { Log } from '../observability/log.ts';
import type { Client } from './client.ts';
import { createDocs } from './docs.ts';
import { createFailure } from './failure.ts';
import { type Feed, readersOfClient } from './feed.ts';
import { createFront } from './front.ts';
import type { Health } from './health.ts';
import type { HostCheck } from './host.ts';
import type { MetricsRoute } from './metrics-route.ts';
import { operationRoutes } from './operations.ts';
import { createOrderRoute, unavailable } from './order-route.ts';
import { toProblem } from './problem.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RequestCounts } from './request-counts.ts';
import { dataHeaders } from './security-headers.ts';

type Parts = {
  lookup: Lookup;
  page: AnyElysia;
  health: () => Promise<Health>;
  /** Absent when the metrics have a port of their own. */
  metrics: MetricsRoute | undefined;
  requests: RequestCounts;
  /** The live list; without it there is none, and no `/events`. */
  feed: Feed | undefined;
  checkHost: HostCheck;
  /** Without it a client may ask as much as it likes. */
  rateLimit: RateLimit | undefined;
  /** Where clients reach the app, such as `/lookup`; `underBasePath` puts it there. */
  basePath?: string;
  /** How many proxies stand in front of us. */
  trustedProxies: number;
  log: Log;
};

/** The HTTP part: a value with `fetch`, from a `Request` to a `Response`. It does not listen. */
export const createApp = ({ lookup, page, health, metrics, feed, log, basePath = '', ...front }: Parts) => {
  const order = createOrderRoute(lookup);
  /** Of the requests that the router answers. */
  const clients = new WeakMap<Request, Client>();
  const clientOf = (request: Request) => clients.get(request)?.() ?? '';
  const operations = operationRoutes({ health, metrics });
  const failed = createFailure(log);
  const noStore = { headers: { ...dataHeaders, 'cache-control': 'no-store' } };

  const eventHeaders = {
    ...noStore.headers,
    'content-type': 'text/event-stream',
    'x-accel-buffering': 'no',
  };

  // Otherwise a host of up to three characters, such as a container's name, would hide the path.
  const app = new Elysia({ handler: { standardHostname: false } })
    .onError(({ code, error, request, path }) => {
      if (error instanceof Unavailable) return unavailable(request, error);
      if (code === 'NOT_FOUND') return missing(request, path);
      if (code === 'PARSE' || code === 'VALIDATION')
        return toProblem(request, {
          status: 400,
          title: 'Bad request',
          detail: 'The request cannot be read.',
        });
      return failed(request, error);
    })
    .get('/order/:uid', ({ request }) => order(request, lastSegment(request.url)))
    .head('/order/:uid', ({ request }) => order(request, lastSegment(request.url)))
    .get('/healthz', operations['/healthz'])
    .get('/readyz', operations['/readyz'])
    .use(page)
    .use(createDocs({ basePath }));

  if (metrics) app.get('/metrics', ({ request }) => metrics(request, () => clientOf(request)));
  if (feed) {
    // Without a body, or the stream would be waited for.
    app.head('/events', () => new Response(null, { headers: eventHeaders }));
    app.get('/events', ({ request }) => {
      const client = clientOf(request);
      if (!feed.hasRoomFor(client))
        return toProblem(
          request,
          {
            status: 429,
            title: 'Too many readers',
            detail: `One client may read the live list ${readersOfClient} times at once.`,
          },
          { 'retry-after': '30' },
        );
      const stream = feed.open(client);
      if (!stream)
        return toProblem(
          request,
          { status: 503, title: 'Too many readers', detail: 'The live list has no room now.' },
          { 'retry-after': '30' },
        );
      return new Response(stream, { headers: eventHeaders });
    });
  }

  /** A path that there is, but not for this method, or no path of ours. */
  const missing = (request: Request, path: string) => {
    const methods = app.routes.filter((route) => isRouteOf(route.path, path)).map((route) => route.method);
    // Elysia answers HEAD wherever it answers GET.
    const allowed = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
    if (allowed.length === 0)
      return toProblem(request, {
        status: 404,
        title: 'Not found',
        detail: 'There is nothing at this address.',
      });
    return toProblem(
      request,
      { status: 405, title: 'Method not allowed', detail: `${request.method} is not possible here.` },
      { allow: [...new Set(allowed)].join(', ') },
    );
  };

  const paths = new Set(app.routes.map((route) => route.path));
  const routed = (request: Request, client: Client) => {
    clients.set(request, client);
    return app.fetch(request);
  };
  const fetch = createFront({ order, routed, paths, failed, log, ...front });
  return { fetch, routes: app.routes };
};

export type App = ReturnType<typeof createApp>;

/** As it was sent: a router's own decoding would hide what is malformed. */
const lastSegment = (url: string) => {
  const end = url.indexOf('?');
  const whole = end === -1 ? url : url.slice(0, end);
  const path = whole.endsWith('/') ? whole.slice(0, -1) : whole;
  return path.slice(path.lastIndexOf('/') + 1);
};

const isRouteOf = (route: string, path: string) => {
  const wanted = route.split('/');
  const given = path.split('/');
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => part === given[index] || (part.startsWith(':') && given[index] !== ''))
  );
};
