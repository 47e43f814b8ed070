import type { Step } from '../lookup/lookup.ts';
import type { EncodedOrder } from '../order/encoded-order.ts';
import { isNotModified } from './etag.ts';
import { cacheStatus, serverTiming } from './lookup-headers.ts';
import { requestIdFrom } from './request-id.ts';
import { dataHeaders } from './security-headers.ts';

const commonHeaders = {
  ...dataHeaders,
  'content-type': 'application/json',
  'cache-control': 'private',
};

/** An order that was found, as 200, or as 304 where the client has a cached copy. */
export const createOrderResponse = () => {
  /** Each answer copies it, which takes half as long as to make a head. To set a header is a measurable part of a hit's time. */
  const head = new Headers(commonHeaders);
  const shown = { 'cache-status': '', 'server-timing': '' };

  const show = (name: keyof typeof shown, value: string) => {
    if (value === shown[name]) return;
    shown[name] = value;
    head.set(name, value);
  };

  /** `steps`: those of the lookup. */
  return ({ headers }: Request, { etag, body }: EncodedOrder, steps: readonly Step[]): Response => {
    show('cache-status', cacheStatus(steps));
    show('server-timing', serverTiming(steps));
    head.set('etag', etag);
    head.set('x-request-id', requestIdFrom(headers));
    return isNotModified(headers, etag)
      ? new Response(null, { status: 304, headers: head })
      : new Response(body, { headers: head });
  };
};
