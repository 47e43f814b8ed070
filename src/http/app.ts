import { type AnyElysia, Elysia } from 'elysia';
import { createFailure } from './failure.ts';
import { isRead } from './method.ts';
import { createMiddleware, type MiddlewareOptions } from './middleware.ts';
import { toProblem } from './problem.ts';
import { requestId } from './request-id.ts';
import { createRouteOf, orderPath, routeNameOf } from './request-url.ts';

/** A plugin of Elysia: an instance with routes, or a function that adds some. */
export type Route = AnyElysia | ((router: AnyElysia) => AnyElysia);

type Options = MiddlewareOptions & { routes: readonly Route[] };
type Handler = (context: { request: Request }) => Response | Promise<Response>;

/** The HTTP part: a value with `fetch`, from a `Request` to a `Response`. It does not listen. */
export const createApp = ({ routes, ...options }: Options) => {
  const answerError = createFailure(options.log);

  // `standardHostname`: otherwise a host of up to three characters, such as a container's name, would hide the path.
  const router: AnyElysia = new Elysia({ strictPath: true, handler: { standardHostname: false } }).onError(
    ({ code, error, request }) =>
      code === 'NOT_FOUND' ? notFoundOrNotAllowed(request) : answerError(request, error),
  );
  for (const route of routes) router.use(route as AnyElysia);
  const unnamed = router.routes.find(({ path }) => path.includes(':') && path !== orderPath);
  if (unnamed) throw new Error(`${unnamed.path} has a parameter: createRouteOf would not name it`);
  const routeOf = createRouteOf(new Set(router.routes.map(({ path }) => path)));
  const methodsOf = Map.groupBy(router.routes, ({ path }) => routeNameOf(path));

  const notFoundOrNotAllowed = (request: Request) => {
    const methods = methodsOf.get(routeOf(request.url))?.map(({ method }) => method);
    if (!methods) return toProblem(request, notFound);
    // Elysia answers HEAD wherever it answers GET.
    const allowed = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
    return toProblem(request, notAllowed(request.method), { allow: [...allowed].join(', ') });
  };

  /** Nearly all requests are for this route, and the router costs a tenth of a cache hit: its handler is called directly. */
  const lookUp = router.routes.find(({ method, path }) => method === 'GET' && path === orderPath)?.handler as
    | Handler
    | undefined;

  const handle = async (request: Request) => {
    const response = await router.fetch(request);
    response.headers.set('x-request-id', requestId(request));
    return response;
  };
  const answer = (request: Request, route: string) => {
    return lookUp && route === orderPath && isRead(request) ? lookUp({ request }) : handle(request);
  };

  const fetch = createMiddleware({ ...options, routeOf, answer, answerError });
  return { fetch, routes: router.routes, routeOf };
};

export type App = ReturnType<typeof createApp>;

const notFound = { status: 404, title: 'Not found', detail: 'Nothing exists at this address.' };

const notAllowed = (method: string) => ({
  status: 405,
  title: 'Method not allowed',
  detail: `This address does not support ${method}.`,
});
