import type { Client } from './client.ts';
import { toProblem } from './problem.ts';
import { createRateLimit } from './rate-limit.ts';
import { dataHeaders } from './security-headers.ts';

type Options = {
  /** What Prometheus reads. */
  read: () => Promise<string>;
  /** A client has to send it; null: none is needed. */
  token: string | null;
};

export type MetricsRoute = (request: Request, client: Client) => Promise<Response>;

/** Wrong tokens a minute of each client; after that no token of it is looked at. */
const wrongPerMinute = 10;

/** Answers Prometheus, if it has the token. */
export const createMetricsRoute = ({ read, token }: Options): MetricsRoute => {
  const refuse = token === null ? () => undefined : createRefusal(token);
  let reading: Promise<string> | undefined;
  /** One at a time, however many want to know: scrapes pass no limit, and each asks PostgreSQL and every thread. */
  const readOnce = () => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  return async (request, client) =>
    refuse(request, client) ??
    new Response(await readOnce(), {
      headers: {
        ...dataHeaders,
        'cache-control': 'no-store',
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      },
    });
};

const createRefusal = (token: string) => {
  const isToken = equals(token);
  const wrong = createRateLimit(wrongPerMinute);
  return (request: Request, client: Client): Response | undefined => {
    const given = bearerOf(request.headers.get('authorization') ?? '');
    if (given !== undefined) {
      const wait = wrong.wait(client());
      if (wait > 0) return tooMany(request, Math.ceil(wait / 1000));
      if (isToken(given)) return undefined;
      wrong.take(client());
    }
    return toProblem(
      request,
      { status: 401, title: 'Not allowed', detail: 'The metrics want the token of METRICS_TOKEN.' },
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
      detail: `One client may send ${wrongPerMinute} wrong tokens a minute. Please wait ${seconds} s.`,
    },
    { 'retry-after': String(seconds) },
  );

const scheme = 'bearer ';

/** The credentials of that scheme; undefined for none, or another scheme's. */
const bearerOf = (authorization: string) =>
  authorization.slice(0, scheme.length).toLowerCase() === scheme
    ? authorization.slice(scheme.length).trim()
    : undefined;

const digest = (text: string) => new Bun.CryptoHasher('sha256').update(text).digest();

/**
 * Compares digests to their last byte, so that the time it takes says nothing of the token, nor of its length. At once, so
 * that of requests that come together none passes the limit before the others are counted.
 */
const equals = (token: string) => {
  const wanted = digest(token);
  return (given: string): boolean => crypto.timingSafeEqual(wanted, digest(given));
};
