import { toProblem } from './problem.ts';
import { dataHeaders } from './security-headers.ts';

type Options = {
  /** What Prometheus reads. */
  read: () => Promise<string>;
  /** Who asks must show it; null: nobody must. */
  token: string | null;
};

/** Answers what Prometheus asks, if it may be told. */
export const createMetricsRoute = ({ read, token }: Options) => {
  const isAllowed = token === null ? async () => true : bearerIs(token);
  return async (request: Request): Promise<Response> => {
    if (!(await isAllowed(request.headers.get('authorization'))))
      return toProblem(
        request,
        { status: 401, title: 'Not allowed', detail: 'The metrics want the token of METRICS_TOKEN.' },
        { 'www-authenticate': 'Bearer realm="metrics"' },
      );
    return new Response(await read(), {
      headers: {
        ...dataHeaders,
        'cache-control': 'no-store',
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      },
    });
  };
};

const utf8 = new TextEncoder();
const digest = async (text: string) =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', utf8.encode(text)));

/** Compares digests to their last byte, so that the time it takes tells nothing of the token, nor of its length. */
const bearerIs = (token: string) => {
  const wanted = digest(token);
  return async (authorization: string | null): Promise<boolean> => {
    const [, given = ''] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
    const [expected, actual] = await Promise.all([wanted, digest(given)]);
    return expected.reduce((difference, byte, index) => difference | (byte ^ (actual[index] ?? 0)), 0) === 0;
  };
};
