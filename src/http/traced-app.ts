import type { TraceHeaders, Tracing } from '../observability/tracing/tracing.ts';
import type { App } from './app.ts';
import { noRoute } from './request-url.ts';

/** Polled every few seconds, these would be most of all traces. */
const untraced = ['/healthz', '/readyz', '/metrics'];

/** Response headers that become attributes of the span. */
const tracedHeaders = ['cache-status', 'x-request-id'];

/**
 * A span for each request, a child of the client's span where it sent one. The span has the route, not the path, which contains the
 * number of the order. Lookups that share a query have it in the trace of the first of them.
 */
export const traceApp = (tracing: Tracing, app: App): App => {
  const fetch: App['fetch'] = (...args) => {
    const [request] = args;
    const { method } = request;
    const route = app.routeOf(request.url);
    if (untraced.includes(route)) return app.fetch(...args);

    const name = route === noRoute ? method : `${method} ${route}`;
    const attributes = {
      'http.request.method': method,
      'url.scheme': 'http',
      ...(route !== noRoute && { 'http.route': route }),
    };
    return tracing.span({ name, kind: 'server', attributes, from: traceHeaders(request) }, (span) => {
      const addResponse = (response: Response) => {
        span.set({ 'http.response.status_code': response.status });
        for (const header of tracedHeaders) {
          const value = response.headers.get(header);
          if (value !== null) span.set({ [`http.response.header.${header}`]: [value] });
        }
        if (response.status >= 500) span.fail(String(response.status));
        return response;
      };
      const answer = app.fetch(...args);
      return answer instanceof Promise ? answer.then(addResponse) : addResponse(answer);
    });
  };

  return { ...app, fetch };
};

const traceHeaders = ({ headers }: Request): TraceHeaders[] => {
  const [traceparent, tracestate] = [headers.get('traceparent'), headers.get('tracestate')];
  return traceparent === null ? [] : [{ traceparent, ...(tracestate !== null && { tracestate }) }];
};
