import type { MetricObject } from 'prom-client';
import { createDurations, toHistogram } from '../observability/metrics/durations.ts';

type Route = { methods: Map<string, Map<number, number>>; durations: ReturnType<typeof createDurations> };

/** Counts answered requests by method, route and status, and their durations by route. */
export const createRequestCounts = () => {
  const routes = new Map<string, Route>();

  const open = (name: string): Route => {
    const route = { methods: new Map(), durations: createDurations() };
    routes.set(name, route);
    return route;
  };

  return {
    /** `seconds`: from the request to the head of the response. */
    count(method: string, name: string, status: number, seconds: number) {
      const route = routes.get(name) ?? open(name);
      route.durations.observe(seconds);
      let statuses = route.methods.get(method);
      if (!statuses) {
        statuses = new Map();
        route.methods.set(method, statuses);
      }
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    },
    metrics(): MetricObject[] {
      const values = [...routes].flatMap(([route, { methods }]) =>
        [...methods].flatMap(([method, statuses]) =>
          [...statuses].map(([status, value]) => ({ value, labels: { method, route, status } })),
        ),
      );
      const total = {
        name: 'http_requests_total',
        help: 'Requests answered, by method, route and status',
        type: 'counter',
        aggregator: 'sum',
        values,
      };
      return [
        total as unknown as MetricObject,
        toHistogram(
          'http_request_duration_seconds',
          'Time from a request to the head of its response',
          [...routes].map(([route, { durations }]) => [{ route }, durations] as const),
        ),
      ];
    },
  };
};

export type RequestCounts = ReturnType<typeof createRequestCounts>;
