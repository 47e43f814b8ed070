import type { Step } from '../lookup/lookup.ts';
import type { EncodedOrder } from '../order/encoded-order.ts';
import { isNotModified } from './etag.ts';
import { cacheStatus, serverTiming, timingOf } from './lookup-headers.ts';
import { requestIdFrom } from './request-id.ts';
import { dataHeaders } from './security-headers.ts';

const commonHeaders = {
  ...dataHeaders,
  'content-type': 'application/json',
  'cache-control': 'private',
};

/** The answer to a hit in memory, but for what differs by request: to clone it costs half of making another. `head` is the response's. */
type Prepared = { response: Response; head: Headers; timing: string };

/** An order that was found, as 200, or as 304 where the client has a cached copy. */
export const createOrderResponse = () => {
  /** The head of answers from Redis and PostgreSQL. Each answer copies it, which takes half as long as a head of its own. */
  const sharedHead = new Headers(commonHeaders);

  const prepare = (document: EncodedOrder) => {
    const headers = { ...commonHeaders, etag: document.etag, 'cache-status': 'memory; hit' };
    const response = new Response(document.body, { headers });
    const prepared: Prepared = { response, head: response.headers, timing: '' };
    document.prepared = prepared;
    return prepared;
  };

  /** Each of these lines is a measurable part of a hit's time. */
  const fromMemory = ({ headers }: Request, document: EncodedOrder, step: Step) => {
    const prepared = (document.prepared as Prepared | undefined) ?? prepare(document);
    const { response, head } = prepared;
    const timing = timingOf(step);
    if (timing !== prepared.timing) {
      head.set('server-timing', timing);
      prepared.timing = timing;
    }
    head.set('x-request-id', requestIdFrom(headers));
    return isNotModified(headers, document.etag) ? notModified(head) : (response.clone() as Response);
  };

  const fromBelow = ({ headers }: Request, { etag, body }: EncodedOrder, steps: readonly Step[]) => {
    sharedHead.set('etag', etag);
    sharedHead.set('cache-status', cacheStatus(steps));
    sharedHead.set('server-timing', serverTiming(steps));
    sharedHead.set('x-request-id', requestIdFrom(headers));
    return isNotModified(headers, etag)
      ? notModified(sharedHead)
      : new Response(body, { headers: sharedHead });
  };

  /** `steps`: those of the lookup; a single one is a hit in memory. */
  return (request: Request, document: EncodedOrder, steps: readonly Step[]): Response =>
    steps.length === 1
      ? fromMemory(request, document, steps[0] as Step)
      : fromBelow(request, document, steps);
};

const notModified = (headers: Headers) => new Response(null, { status: 304, headers });
