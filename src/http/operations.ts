import type { Log } from '../observability/log.ts';
import { type AddressOf, type Client, createClientOf } from './client.ts';
import { createFailure } from './failure.ts';
import type { Health } from './health.ts';
import type { HostCheck } from './host.ts';
import { toProblem } from './problem.ts';
import { isProbe } from './route-names.ts';
import { dataHeaders } from './security-headers.ts';
import { pathOf } from './target.ts';

type Route = (request: Request, client: Client) => Response | Promise<Response>;
type Routes = Record<string, Route>;

type Parts = {
  health: () => Promise<Health>;
  /** Absent when the metrics have a port of their own. */
  metrics: Route | undefined;
};

const isReady = ({ status }: Health) => status === 'ready' || status === 'degraded';
const noStore = { headers: { ...dataHeaders, 'cache-control': 'no-store' } };

/** What an orchestrator and Prometheus ask, by path. */
export const operationRoutes = ({ health, metrics }: Parts) => ({
  '/healthz': () => Response.json({ status: 'alive' }, noStore),
  '/readyz': async () => {
    const state = await health();
    return Response.json(state, { status: isReady(state) ? 200 : 503, ...noStore });
  },
  ...(metrics && { '/metrics': metrics }),
});

type Options = { checkHost: HostCheck; trustedProxies: number; log: Log };
const noAddress: AddressOf = () => undefined;

/** An app of these routes and nothing else, for a process that answers no lookups, or a port that does not. */
export const createOperationsApp = (routes: Routes, { checkHost, trustedProxies, log }: Options) => {
  const failed = createFailure(log);
  const clientOf = createClientOf(trustedProxies);
  return {
    async fetch(request: Request, addressOf = noAddress): Promise<Response> {
      const path = pathOf(request.url);
      const refused = checkHost(request, isProbe(path));
      if (refused) return refused;
      const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
      if (!route)
        return toProblem(request, {
          status: 404,
          title: 'Not found',
          detail: 'There is nothing at this address.',
        });
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return toProblem(
          request,
          { status: 405, title: 'Method not allowed', detail: `${request.method} is not possible here.` },
          { allow: 'GET, HEAD' },
        );
      try {
        return await route(request, () => clientOf(request, addressOf));
      } catch (error) {
        return failed(request, error);
      }
    },
  };
};
