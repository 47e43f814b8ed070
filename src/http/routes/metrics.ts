import { Elysia } from 'elysia';
import { bearerOf, createTokenCheck, refuseWrongTokens, wrongTokensPerMinute } from '../bearer.ts';
import { requestClient } from '../client.ts';
import { toProblem } from '../problem.ts';
import { createRateLimit } from '../rate-limit.ts';
import { noStoreHeaders } from '../security-headers.ts';

type Options = {
  /** Resolves with the metrics in Prometheus's text format. */
  read: () => Promise<string>;
  /** The bearer token; null: no authentication. */
  token: string | null;
};

/** `GET /metrics`, for Prometheus. */
export const createMetricsRoute = ({ read, token }: Options) => {
  const refuse = token === null ? () => undefined : createRefusal(token);
  let reading: Promise<string> | undefined;
  /** Concurrent scrapes share one reading: they have no rate limit, and each reading queries PostgreSQL and every thread. */
  const readShared = () => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  const contentType = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
  return new Elysia({ name: 'metrics' }).get(
    '/metrics',
    async ({ request }) =>
      refuse(request) ?? new Response(await readShared(), { headers: { ...noStoreHeaders, ...contentType } }),
    { detail: { hide: true } },
  );
};

const createRefusal = (token: string) => {
  const isToken = createTokenCheck(token);
  const limit = createRateLimit(wrongTokensPerMinute);
  return (request: Request): Response | undefined => {
    const given = bearerOf(request);
    if (given !== undefined) {
      const client = requestClient(request);
      const waitMs = limit.wait(client);
      if (waitMs > 0) return refuseWrongTokens(request, waitMs);
      if (isToken(given)) return undefined;
      limit.consume(client);
    }
    return toProblem(
      request,
      { status: 401, title: 'Unauthorized', detail: 'The metrics need the bearer token of METRICS_TOKEN.' },
      { 'www-authenticate': 'Bearer realm="metrics"' },
    );
  };
};
