import type { Log } from '../observability/log.ts';
import { type AddressOf, createClientOf, setRequestClient } from './client.ts';
import type { HostCheck } from './host.ts';
import { type RateLimit, refuse, type ToPage } from './rate-limit.ts';
import type { RequestCounts } from './request-counts.ts';
import { orderPath, type RouteOf } from './request-url.ts';

type Answer = Response | Promise<Response>;

export type MiddlewareOptions = {
  checkHost: HostCheck;
  /** Undefined: no limit. */
  rateLimit?: RateLimit | undefined;
  /** In place of a problem where the limit refuses a page. */
  tooOftenPage?: ToPage | undefined;
  /** Proxies of ours in front of this server. */
  trustedProxies: number;
  /** Undefined: requests are not counted. */
  requests?: RequestCounts | undefined;
  log: Log;
};

type Options = MiddlewareOptions & {
  routeOf: RouteOf;
  answer: (request: Request, route: string) => Answer;
  answerError: (request: Request, error: unknown) => Response;
};

/** An orchestrator or a balancer polls these, under any host name. */
const isProbe = (route: string) => route === '/healthz' || route === '/readyz';
const isUnlimited = (route: string) => isProbe(route) || route === '/metrics';
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const noAddress: AddressOf = () => undefined;

/**
 * What runs for every request, whatever its route: the check of its host, the rate limit of its client, the count, and an answer
 * for errors that nothing expected.
 */
export const createMiddleware = ({
  routeOf,
  answer,
  answerError,
  checkHost,
  rateLimit,
  requests,
  ...options
}: Options) => {
  const { log } = options;
  const clientOf = createClientOf(options.trustedProxies);
  const logsRequests = log.isLevelEnabled('debug');

  const checkLimit = (limit: RateLimit, request: Request, addressOf: AddressOf) => {
    const waitMs = limit.consume(clientOf(request, addressOf));
    return waitMs === 0 ? undefined : refuse(request, limit, waitMs, options.tooOftenPage);
  };

  const answerSafely = (request: Request, route: string, addressOf: AddressOf): Answer => {
    try {
      if (route !== orderPath)
        setRequestClient(request, {
          client: () => clientOf(request, addressOf),
          address: () => addressOf(request),
        });
      return answer(request, route);
    } catch (error) {
      return answerError(request, error);
    }
  };

  const count = (request: Request, route: string, response: Response, startedAt: number) => {
    const { method } = request;
    const { status } = response;
    const durationMs = performance.now() - startedAt;
    requests?.count(knownMethods.has(method) ? method : 'other', route, status, durationMs / 1000);
    if (logsRequests) {
      // The route, not the path: the number of an order is a secret.
      log.debug(
        { requestId: response.headers.get('x-request-id'), method, route, status, durationMs },
        'answered',
      );
    }
    return response;
  };

  return (request: Request, addressOf: AddressOf = noAddress): Answer => {
    const startedAt = performance.now();
    const route = routeOf(request.url);
    const refused =
      checkHost(request, isProbe(route)) ??
      (rateLimit && !isUnlimited(route) ? checkLimit(rateLimit, request, addressOf) : undefined);
    const response = refused ?? answerSafely(request, route, addressOf);
    if (!(response instanceof Promise)) return count(request, route, response, startedAt);
    return response.then(
      (later) => count(request, route, later, startedAt),
      (error) => count(request, route, answerError(request, error), startedAt),
    );
  };
};
