import type { Document } from '../document.ts';
import { type Answer, type Lookup, type Step, Unavailable } from '../lookup.ts';
import { isOrderUid } from '../order.ts';
import { toProblem } from './problem.ts';
import { requestId } from './request-id.ts';
import { dataHeaders } from './security-headers.ts';

/** `GET /order/:uid`: exactly the order, or a problem; and where the answer came from. */
export const createOrderRoute = (lookup: Lookup) => {
  // One for all answers, which copy it: to make one for each takes a sixth of a hit's time.
  const headers = new Headers({
    ...dataHeaders,
    'content-type': 'application/json',
    'cache-control': 'private',
  });

  const found = (request: Request, { etag, body }: Document, steps: readonly Step[]) => {
    headers.set('etag', etag);
    headers.set('cache-status', cacheStatus(steps));
    headers.set('server-timing', serverTiming(steps));
    headers.set('x-request-id', requestId(request));
    const match = request.headers.get('if-none-match');
    if (match !== null && isMatch(match, etag)) return new Response(null, { status: 304, headers });
    return new Response(body, { headers });
  };

  const answer = (request: Request, { document, steps }: Answer) =>
    document
      ? found(request, document, steps)
      : toProblem(
          request,
          { status: 404, title: 'No such order', detail: 'No order has this number.' },
          { 'cache-status': cacheStatus(steps), 'server-timing': serverTiming(steps) },
        );

  /** `uid` as it stands in the path, percent-encoded. */
  return (request: Request, uid: string): Response | Promise<Response> => {
    const decoded = decode(uid);
    if (!isOrderUid(decoded)) return malformed(request);
    const answered = lookup.find(decoded);
    if (!(answered instanceof Promise)) return answer(request, answered);
    return answered.then(
      (later) => answer(request, later),
      (error) => {
        if (error instanceof Unavailable) return unavailable(request, error);
        throw error;
      },
    );
  };
};

const malformed = (request: Request) =>
  toProblem(request, {
    status: 400,
    title: 'Malformed order number',
    detail: 'An order number has 10 to 50 characters, none of them NUL, percent-encoded in UTF-8.',
  });

export const unavailable = (request: Request, { retryAfter }: Unavailable) =>
  toProblem(
    request,
    {
      status: 503,
      title: 'Cannot tell now',
      detail: 'The database does not answer. Please try again shortly.',
    },
    { 'retry-after': String(retryAfter) },
  );

const decode = (text: string): string | undefined => {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};

/**
 * In the terms of RFC 9211, the tiers in the order in which they were asked. The RFC lists caches the other way round, but
 * these are not hops between servers: it is the way of one lookup, which is read from its beginning.
 */
const cacheStatus = (steps: readonly Step[]) => {
  let status = '';
  for (const { tier, hit, bypassed } of steps) {
    if (tier === 'postgres') continue;
    status += `${status && ', '}${tier}; ${hit ? 'hit' : bypassed ? 'fwd=bypass' : 'fwd=miss'}`;
  }
  return status;
};

const serverTiming = (steps: readonly Step[]) => {
  let timing = '';
  for (const { tier, duration, bypassed } of steps) {
    if (!bypassed) timing += `${timing && ', '}${tier};dur=${duration.toFixed(3)}`;
  }
  return timing;
};

/** RFC 9110, 13.1.2: the comparison is weak, so a proxy's `W/` is no difference. */
const isMatch = (header: string, etag: string) =>
  header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
