import type { Log } from '../log.ts';
import { createFailure } from './failure.ts';
import type { Health } from './health.ts';
import { toProblem } from './problem.ts';
import { dataHeaders } from './security-headers.ts';

type Parts = {
  health: () => Promise<Health>;
  /** What Prometheus reads. */
  metrics: () => Promise<string>;
};

type Routes = Record<string, (request: Request) => Response | Promise<Response>>;

const noStore = { headers: { ...dataHeaders, 'cache-control': 'no-store' } };

/** What an orchestrator and Prometheus ask, by path. */
export const operationRoutes = ({ health, metrics }: Parts) =>
  ({
    '/healthz': () => Response.json({ status: 'alive' }, noStore),
    '/readyz': async () => {
      const state = await health();
      return Response.json(state, { status: state.status === 'unready' ? 503 : 200, ...noStore });
    },
    '/metrics': async () =>
      new Response(await metrics(), {
        headers: { ...noStore.headers, 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      }),
  }) satisfies Routes;

/** An app of these routes and nothing else, for a process that answers no lookups. */
export const createOperationsApp = (routes: Routes, log: Log) => {
  const failed = createFailure(log);
  return {
    async fetch(request: Request): Promise<Response> {
      const { pathname } = new URL(request.url);
      const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
      if (!route)
        return toProblem({ status: 404, title: 'Not found', detail: 'There is nothing at this address.' });
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return toProblem(
          { status: 405, title: 'Method not allowed', detail: `${request.method} is not possible here.` },
          { allow: 'GET, HEAD' },
        );
      try {
        return await route(request);
      } catch (error) {
        return failed(request, error);
      }
    },
  };
};
