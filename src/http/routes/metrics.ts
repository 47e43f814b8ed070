import { Elysia } from 'elysia';
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

/** Wrong tokens a minute of one client; after that none of its tokens is compared. */
const wrongTokensPerMinute = 10;

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
  );
};

const createRefusal = (token: string) => {
  const isToken = equals(token);
  const limit = createRateLimit(wrongTokensPerMinute);
  return (request: Request): Response | undefined => {
    const given = bearerOf(request.headers.get('authorization') ?? '');
    if (given !== undefined) {
      const client = requestClient(request);
      const waitMs = limit.wait(client);
      if (waitMs > 0) return tooMany(request, Math.ceil(waitMs / 1000));
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

const tooMany = (request: Request, seconds: number) =>
  toProblem(
    request,
    {
      status: 429,
      title: 'Too many wrong tokens',
      detail: `One client may send ${wrongTokensPerMinute} wrong tokens a minute. Please wait ${seconds} s.`,
    },
    { 'retry-after': String(seconds) },
  );

const scheme = 'bearer ';

/** The credentials of the Bearer scheme; undefined for none, or another scheme's. */
const bearerOf = (authorization: string) =>
  authorization.slice(0, scheme.length).toLowerCase() === scheme
    ? authorization.slice(scheme.length).trim()
    : undefined;

const digest = (text: string) => new Bun.CryptoHasher('sha256').update(text).digest();

/**
 * Compares digests in constant time, so that the time reveals neither the token nor its length. Synchronous, so that concurrent
 * requests are all counted before the next one is compared.
 */
const equals = (token: string) => {
  const wanted = digest(token);
  return (given: string): boolean => crypto.timingSafeEqual(wanted, digest(given));
};
