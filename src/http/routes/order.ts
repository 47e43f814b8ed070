import { Elysia } from 'elysia';
import type { Answer, Lookup } from '../../lookup/lookup.ts';
import { Unavailable } from '../../lookup/order-query.ts';
import { exampleOrder } from '../../order/example.ts';
import { isOrderUid } from '../../order/order.ts';
import { contract, idHeaders, problemResponse, retryHeaders, schemaOf, textHeader } from '../contract.ts';
import { internalServerErrorResponse } from '../failure.ts';
import { misdirectedResponse } from '../host.ts';
import { cacheStatus, serverTiming } from '../lookup-headers.ts';
import { createOrderResponse } from '../order-response.ts';
import { toProblem } from '../problem.ts';
import { tooManyRequestsResponse } from '../rate-limit.ts';
import { orderPath, orderUidOf } from '../request-url.ts';

/** `GET /order/:uid`: exactly the order, or a problem; and which tiers were asked. */
export const createOrderRoute = (lookup: Lookup) => {
  const toResponse = createOrderResponse();

  const answer = (request: Request, { document, steps }: Answer) =>
    document
      ? toResponse(request, document, steps)
      : toProblem(request, unknown, {
          'cache-status': cacheStatus(steps),
          'server-timing': serverTiming(steps),
        });

  const lookUp = ({ request }: { request: Request }): Response | Promise<Response> => {
    const uid = decode(orderUidOf(request.url) ?? '');
    if (!isOrderUid(uid)) return toProblem(request, malformed);
    const found = lookup.find(uid);
    if (!(found instanceof Promise)) return answer(request, found);
    return found.then(
      (later) => answer(request, later),
      (error) => {
        if (!(error instanceof Unavailable)) throw error;
        return toProblem(request, unavailable, { 'retry-after': String(error.retryAfterSeconds) });
      },
    );
  };

  return new Elysia({ name: 'order' }).get(orderPath, lookUp, contract(getOrder)).head(orderPath, lookUp);
};

const decode = (text: string): string | undefined => {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};

export const uidRule = '10 to 50 characters, none of them NUL, percent-encoded in UTF-8';
const malformed = {
  status: 400,
  title: 'Malformed order number',
  detail: `An order number has ${uidRule}.`,
};
const unknown = { status: 404, title: 'No such order', detail: 'No order has this number.' };
export const unavailable = {
  status: 503,
  title: 'Temporarily unavailable',
  detail: 'The database does not answer. Please try again shortly.',
};

const exampleTag = '"2xxw1dd0nv9ju"';
const tierHeaders = {
  'Cache-Status': textHeader(
    'Which cache answered, in the terms of RFC 9211; `memory; fwd=miss` alone: none did',
    'memory; fwd=miss, redis; hit',
  ),
  'Server-Timing': textHeader(
    'How long each tier that was asked took, in ms',
    'memory;dur=0.004, postgres;dur=1.250',
  ),
};
const foundHeaders = {
  ETag: textHeader('Strong entity tag of the order', exampleTag),
  'Cache-Control': textHeader('An order is personal data: shared caches must not store it', 'private'),
  ...tierHeaders,
  ...idHeaders,
};

const getOrder = {
  operationId: 'getOrder',
  summary: 'An order',
  description:
    'The order that has this number, exactly as it was sent, its date in UTC. An order never changes, but may be erased or expire; then the answer is 404.',
  tags: ['orders'],
  parameters: [
    {
      name: 'uid',
      in: 'path',
      required: true,
      description: `The order number: ${uidRule}. The example is answered with \`404\` unless this order was sent; the page lists numbers that exist.`,
      schema: { type: 'string', minLength: 10, maxLength: 50, pattern: '^[^\\u0000]*$' },
      example: exampleOrder.order_uid,
    },
    {
      name: 'If-None-Match',
      in: 'header',
      description: 'The `ETag` of a cached copy',
      // No example: Swagger UI would send it, and the answer would be a 304 without a body.
      schema: { type: 'string' },
    },
    {
      name: 'X-Request-Id',
      in: 'header',
      description:
        'An id of the client’s own for this request, up to 128 characters of `A-Z a-z 0-9 _ . : / + = @ -`; anything else is ignored',
      // No example: Swagger UI would send the same id with each request.
      schema: { type: 'string' },
    },
  ],
  responses: {
    200: {
      description: 'The order',
      headers: foundHeaders,
      content: { 'application/json': { schema: schemaOf('Order'), example: exampleOrder } },
      links: {
        again: {
          operationId: 'getOrder',
          description: 'Answers without a body, as the cached copy is current',
          parameters: { 'path.uid': '$request.path.uid', 'header.If-None-Match': '$response.header.ETag' },
        },
      },
    },
    304: { description: 'The cached copy is current', headers: foundHeaders },
    400: problemResponse('The number, or the `Host` header, is malformed', malformed),
    404: problemResponse('No order has this number', unknown, tierHeaders),
    421: misdirectedResponse,
    429: tooManyRequestsResponse,
    500: internalServerErrorResponse,
    503: problemResponse(
      'The database does not answer, so whether the order exists is unknown',
      unavailable,
      retryHeaders,
    ),
  },
};
