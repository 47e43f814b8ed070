import type { Log } from '../observability/log.ts';
import { type AddressOf, type Client, createClientOf } from './client.ts';
import type { HostCheck } from './host.ts';
import { toProblem } from './problem.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RequestCounts } from './request-counts.ts';
import { requestId } from './request-id.ts';
import { createRouteNames, isProbe, lookupRoute } from './route-names.ts';

type Options = {
  /** Answers `GET /order/:uid`. */
  order: (request: Request, uid: string) => Response | Promise<Response>;
  /** Answers everything else. */
  routed: (request: Request, client: Client) => Response | Promise<Response>;
  /** The router's. */
  paths: ReadonlySet<string>;
  failed: (request: Request, error: unknown) => Response;
  checkHost: HostCheck;
  rateLimit: RateLimit | undefined;
  trustedProxies: number;
  requests: RequestCounts;
  log: Log;
};

/** Asked by those who watch over us, at their own pace. */
const isUnlimited = (route: string) => isProbe(route) || route === '/metrics';
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const noAddress: AddressOf = () => undefined;

/**
 * What every request passes: the check of its host, the limit of its client, its id, its count. Lookups are nearly all that is asked, and pass no
 * router: of 19 µs of processor that a hit took, it took two.
 */
export const createFront = ({ order, routed, paths, failed, rateLimit, ...options }: Options) => {
  const { requests, checkHost, log } = options;
  const clientOf = createClientOf(options.trustedProxies);
  const tellsEach = log.isLevelEnabled('debug');
  const nameOf = createRouteNames(paths);

  const refusal = ({ take, perMinute }: RateLimit, request: Request, addressOf: AddressOf) => {
    const wait = take(clientOf(request, addressOf));
    return wait > 0 ? tooMany(request, Math.ceil(wait / 1000), perMinute) : undefined;
  };

  const routedWithId = async (request: Request, client: Client) => {
    const response = await routed(request, client);
    response.headers.set('x-request-id', requestId(request));
    return response;
  };

  const answer = (request: Request, uid: string | undefined, addressOf: AddressOf) => {
    try {
      return uid === undefined
        ? routedWithId(request, () => clientOf(request, addressOf))
        : order(request, uid);
    } catch (error) {
      return failed(request, error);
    }
  };

  const counted = (request: Request, route: string, response: Response, begun: number) => {
    const { method } = request;
    const { status } = response;
    const ms = performance.now() - begun;
    requests.count(methods.has(method) ? method : 'other', route, status, ms / 1000);
    if (tellsEach) {
      // Without the number of the order: who has that may see it.
      log.debug({ requestId: response.headers.get('x-request-id'), method, route, status, ms }, 'answered');
    }
    return response;
  };

  return (request: Request, addressOf: AddressOf = noAddress): Response | Promise<Response> => {
    const begun = performance.now();
    const uid = request.method === 'GET' ? lookedUp(request.url) : undefined;
    const route = uid === undefined ? nameOf(request.url) : lookupRoute;
    const refused =
      checkHost(request, isProbe(route)) ??
      (rateLimit && !isUnlimited(route) ? refusal(rateLimit, request, addressOf) : undefined);
    const answered = refused ?? answer(request, uid, addressOf);
    if (!(answered instanceof Promise)) return counted(request, route, answered, begun);
    return answered.then(
      (response) => counted(request, route, response, begun),
      (error) => counted(request, route, failed(request, error), begun),
    );
  };
};

/** The uid of `/order/:uid` as it was sent, or undefined when the URL is another one's. */
const lookedUp = (url: string): string | undefined => {
  const uid = url.lastIndexOf('/') + 1;
  const path = uid - '/order/'.length;
  if (!url.startsWith('/order/', path) || url.indexOf('/', 'https://'.length) !== path) return undefined;
  return uid === url.length || url.includes('?', uid) || url.includes('#', uid) ? undefined : url.slice(uid);
};

const tooMany = (request: Request, seconds: number, perMinute: number) =>
  toProblem(
    request,
    {
      status: 429,
      title: 'Too many requests',
      detail: `One client may ask ${perMinute} times a minute. Please wait ${seconds} s.`,
    },
    { 'retry-after': String(seconds) },
  );
