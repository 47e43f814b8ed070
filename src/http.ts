import { Elysia } from 'elysia';
import { createDocs } from './docs.ts';
import type { Feed } from './feed.ts';
import type { Health } from './health.ts';
import type { Log } from './log.ts';
import { type Lookup, Unavailable } from './lookup.ts';
import { healthDetail, livenessDetail, orderDetail } from './openapi.ts';
import { createOrderRoute, unavailable } from './order-route.ts';
import { createPage } from './page.tsx';
import { toProblem } from './problem.ts';

type Parts = {
  lookup: Lookup;
  health: () => Promise<Health>;
  /** What Prometheus reads. */
  metrics: () => Promise<string>;
  /** The live list; without it there is none, and no `/events`. */
  feed: Feed | undefined;
  log: Log;
};

/** The HTTP part: a value with `fetch`, from a `Request` to a `Response`. It does not listen. */
export const createApp = ({ lookup, health, metrics, feed, log }: Parts) => {
  const order = createOrderRoute(lookup);
  const hidden = { detail: { hide: true } };
  const noStore = { headers: { 'cache-control': 'no-store' } };

  const app = new Elysia()
    .onError(({ code, error, request, path }) => {
      if (error instanceof Unavailable) return unavailable(error);
      if (code === 'NOT_FOUND') return missing(request.method, path);
      if (code === 'PARSE' || code === 'VALIDATION')
        return toProblem({ status: 400, title: 'Bad request', detail: 'The request cannot be read.' });
      log.error({ error, method: request.method }, 'a request failed');
      return toProblem({
        status: 500,
        title: 'Our mistake',
        detail: 'It has been noted. Please try again later.',
      });
    })
    .get('/order/:uid', ({ request }) => order(request, lastSegment(request.url)), { detail: orderDetail })
    .head('/order/:uid', ({ request }) => order(request, lastSegment(request.url)), hidden)
    .get('/healthz', () => Response.json({ status: 'alive' }, noStore), { detail: livenessDetail })
    .get(
      '/readyz',
      async () => {
        const state = await health();
        return Response.json(state, { status: state.status === 'unready' ? 503 : 200, ...noStore });
      },
      { detail: healthDetail },
    )
    .get(
      '/metrics',
      async () =>
        new Response(await metrics(), {
          headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
        }),
      hidden,
    )
    .use(createPage({ lookup, liveFeed: feed !== undefined }))
    .use(createDocs());

  if (feed) {
    app.get(
      '/events',
      () => {
        const stream = feed.open();
        if (!stream)
          return toProblem(
            { status: 503, title: 'Too many readers', detail: 'The live list has no room now.' },
            { 'retry-after': '30' },
          );
        return new Response(stream, {
          headers: {
            'content-type': 'text/event-stream',
            'cache-control': 'no-store',
            'x-accel-buffering': 'no',
          },
        });
      },
      hidden,
    );
  }

  /** A path that there is, but not for this method, or no path of ours. */
  const missing = (method: string, path: string) => {
    const allowed = app.routes.filter((route) => isRouteOf(route.path, path)).map((route) => route.method);
    if (allowed.length === 0)
      return toProblem({ status: 404, title: 'Not found', detail: 'There is nothing at this address.' });
    return toProblem(
      { status: 405, title: 'Method not allowed', detail: `${method} is not possible here.` },
      { allow: [...new Set(allowed)].join(', ') },
    );
  };
  return app;
};

export type App = ReturnType<typeof createApp>;

/** As it was sent: a router's own decoding would hide what is malformed. */
const lastSegment = (url: string) => {
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
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
