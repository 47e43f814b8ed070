import type { Answer, Lookup, Step } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import type { EncodedOrder } from '../order/encoded-order.ts';
import { isOrderUid } from '../order/order.ts';
import { toProblem } from './problem.ts';
import { requestIdFrom } from './request-id.ts';
import { dataHeaders } from './security-headers.ts';

/** The answer to a cache hit, but for what differs by request: to clone it costs half of making another. `head` is the response's. */
type Prepared = { response: Response; head: Headers; timing: string };

/** `GET /order/:uid`: exactly the order, or a problem; and where the answer came from. */
export const createOrderRoute = (lookup: Lookup) => {
  /** Of an answer from another tier. Each answer copies it, which takes half as long as a head of its own. */
  const head = new Headers(foundHeaders);

  /** From memory. Each of these lines is a part of a hit's time that can be measured. */
  const hit = ({ headers }: Request, document: EncodedOrder, [step]: readonly Step[]) => {
    const prepared = (document.prepared as Prepared | undefined) ?? prepare(document);
    const { response, head } = prepared;
    const timing = timingOf(step as Step);
    if (timing !== prepared.timing) {
      head.set('server-timing', timing);
      prepared.timing = timing;
    }
    head.set('x-request-id', requestIdFrom(headers));
    return isAtHand(headers, document) ? notModified(head) : (response.clone() as Response);
  };

  const prepare = (document: EncodedOrder) => {
    const headers = { ...foundHeaders, etag: document.etag, 'cache-status': 'memory; hit' };
    const response = new Response(document.body, { headers });
    const prepared: Prepared = { response, head: response.headers, timing: '' };
    document.prepared = prepared;
    return prepared;
  };

  const found = ({ headers: asked }: Request, document: EncodedOrder, steps: readonly Step[]) => {
    head.set('etag', document.etag);
    head.set('cache-status', cacheStatus(steps));
    head.set('server-timing', serverTiming(steps));
    head.set('x-request-id', requestIdFrom(asked));
    return isAtHand(asked, document) ? notModified(head) : new Response(document.body, { headers: head });
  };

  const answer = (request: Request, { document, steps }: Answer) => {
    if (!document)
      return toProblem(
        request,
        { status: 404, title: 'No such order', detail: 'No order has this number.' },
        wayHeaders(steps),
      );
    return steps.length === 1 ? hit(request, document, steps) : found(request, document, steps);
  };

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

export const unavailable = (request: Request, { retryAfterSeconds }: Unavailable) =>
  toProblem(
    request,
    {
      status: 503,
      title: 'Cannot tell now',
      detail: 'The database does not answer. Please try again shortly.',
    },
    { 'retry-after': String(retryAfterSeconds) },
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

/** A number's own `toFixed` takes as long as the rest of an answer's head. */
const thousandths = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, '0'));

/** In ms, to the µs. */
const timingOf = ({ tier, durationMs }: Step) => {
  const microseconds = Math.round(durationMs * 1000);
  return `${tier};dur=${Math.trunc(microseconds / 1000)}.${thousandths[microseconds % 1000]}`;
};

const serverTiming = (steps: readonly Step[]) => {
  let timing = '';
  for (const step of steps) if (!step.bypassed) timing += `${timing && ', '}${timingOf(step)}`;
  return timing;
};

const wayHeaders = (steps: readonly Step[]) => ({
  'cache-status': cacheStatus(steps),
  'server-timing': serverTiming(steps),
});

const foundHeaders = {
  ...dataHeaders,
  'content-type': 'application/json',
  'cache-control': 'private',
};

const notModified = (headers: HeadersInit) => new Response(null, { status: 304, headers });

const isAtHand = (asked: Headers, { etag }: EncodedOrder) => {
  const match = asked.get('if-none-match');
  return match !== null && isMatch(match, etag);
};

/** RFC 9110, 13.1.2: the comparison is weak, so a proxy's `W/` is no difference. Of thousands of tags none is looked at alone. */
const isMatch = (header: string, etag: string) => {
  if (header === etag || header.trim() === '*') return true;
  for (let at = header.indexOf(etag); at !== -1; at = header.indexOf(etag, at + 1)) {
    const start = header.startsWith('W/', at - 2) ? at - 2 : at;
    if (isEdge(header[start - 1]) && isEdge(header[at + etag.length])) return true;
  }
  return false;
};

/** What is around a tag in a list. */
const isEdge = (character: string | undefined) =>
  character === undefined || character === ',' || character === ' ' || character === '\t';
