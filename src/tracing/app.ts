import type { App } from '../http/app.ts';
import type { TraceHeaders, Tracing } from './tracing.ts';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'];

/** What orchestrators and Prometheus ask every few seconds would be most of all traces. */
const untraced = ['/healthz', '/readyz', '/metrics'];

/** Headers of an answer that its span has, too. */
const told = ['cache-status', 'x-request-id'];

/**
 * A span for each request, a part of the trace that it came with. Its address is told by its route alone, as addresses
 * hold the numbers of orders. Requests for one order that come together share one query, which is in the first one's trace.
 */
export const traceApp = (tracing: Tracing, app: App): App => {
  const routeOf = createRouteFinder(app.routes);

  const fetch: App['fetch'] = (...args) => {
    const [request] = args;
    const { pathname, protocol } = new URL(request.url);
    const route = routeOf(pathname);
    if (route && untraced.includes(route)) return app.fetch(...args);

    const method = methods.includes(request.method) ? request.method : undefined;
    const name = route === undefined ? (method ?? 'HTTP') : `${method ?? 'HTTP'} ${route}`;
    const attributes = {
      'http.request.method': method ?? '_OTHER',
      'url.scheme': protocol.slice(0, -1),
      ...(route !== undefined && { 'http.route': route }),
    };
    return tracing.span({ name, kind: 'server', attributes, from: cameWith(request) }, (span) => {
      const tell = (response: Response) => {
        span.set({ 'http.response.status_code': response.status });
        for (const header of told) {
          const value = response.headers.get(header);
          if (value !== null) span.set({ [`http.response.header.${header}`]: [value] });
        }
        if (response.status >= 500) span.fail(String(response.status));
        return response;
      };
      const answer = app.fetch(...args);
      return answer instanceof Promise ? answer.then(tell) : tell(answer);
    });
  };

  return { ...app, fetch };
};

const cameWith = ({ headers }: Request): TraceHeaders[] => {
  const [traceparent, tracestate] = [headers.get('traceparent'), headers.get('tracestate')];
  return traceparent === null ? [] : [{ traceparent, ...(tracestate !== null && { tracestate }) }];
};

/** The path as the route has it, `/order/:uid`; undefined when it is no route's. */
const createRouteFinder = (routes: App['routes']) => {
  const patterns = [...new Set(routes.map(({ path }) => path))].map((path) => ({
    path,
    pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/:[^/]+/g, '[^/]+')}/?$`),
  }));
  return (pathname: string) => patterns.find(({ pattern }) => pattern.test(pathname))?.path;
};
