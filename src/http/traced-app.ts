import type { TraceHeaders, Tracing } from '../observability/tracing/tracing.ts';
import type { App } from './app.ts';
import { createRouteNames, noRoute } from './route-names.ts';

/** What orchestrators and Prometheus ask every few seconds would be most of all traces. */
const untraced = ['/healthz', '/readyz', '/metrics'];

/** Headers of an answer that its span has, too. */
const told = ['cache-status', 'x-request-id'];

/**
 * A span for each request, a part of the trace that it came with. Its address is told by its route alone, as addresses
 * hold the numbers of orders. Requests for one order that come together share one query, which is in the first one's trace.
 */
export const traceApp = (tracing: Tracing, app: App): App => {
  const nameOf = createRouteNames(new Set(app.routes.map(({ path }) => path)));

  const fetch: App['fetch'] = (...args) => {
    const [request] = args;
    const { method } = request;
    const route = nameOf(request.url);
    if (untraced.includes(route)) return app.fetch(...args);

    const name = route === noRoute ? method : `${method} ${route}`;
    const attributes = {
      'http.request.method': method,
      'url.scheme': 'http',
      ...(route !== noRoute && { 'http.route': route }),
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
