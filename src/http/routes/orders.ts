import { Elysia } from 'elysia';
import type { Answer, Lookup } from '../../lookup/lookup.ts';
import { Unavailable } from '../../lookup/order-query.ts';
import { exampleOrder } from '../../order/example.ts';
import { isOrderUid, type OrderUid } from '../../order/order.ts';
import { contract, idHeaders, problemResponse, retryHeaders, schemaOf, textHeader } from '../contract.ts';
import { internalServerErrorResponse } from '../failure.ts';
import { misdirectedResponse } from '../host.ts';
import { cacheStatus } from '../lookup-headers.ts';
import { toProblem } from '../problem.ts';
import { type Charge, tooManyRequestsResponse } from '../rate-limit.ts';
import { queryOf } from '../request-url.ts';
import { dataHeaders } from '../security-headers.ts';
import { uidRule, unavailable } from './order.ts';

/** Numbers in one request. */
export const maxUids = 100;

type Options = { lookup: Lookup; charge: Charge };

/** `GET /orders?uid=…&uid=…`: the orders that have these numbers, in this order, and the numbers that no order has. */
export const createOrdersRoute = ({ lookup, charge }: Options) => {
  const answer = async ({ request }: { request: Request }): Promise<Response> => {
    const given = new URLSearchParams(queryOf(request.url)).getAll('uid');
    if (given.length === 0 || given.length > maxUids) return toProblem(request, wrongCount(given.length));
    const malformed = given.findIndex((uid) => !isOrderUid(uid));
    if (malformed !== -1) return toProblem(request, malformedAt(malformed + 1));
    const refused = charge(request, given.length);
    if (refused) return refused;

    const uids = [...new Set(given)];
    const answers = await lookup.findAll(uids);
    const unknown = answers.find((answer) => answer instanceof Unavailable);
    if (unknown) return toProblem(request, unavailable, { 'retry-after': String(unknown.retryAfterSeconds) });
    return new Response(toBody(uids, answers as Answer[]), { headers });
  };

  return new Elysia({ name: 'orders' }).get('/orders', answer, contract(getOrders));
};

const headers = { ...dataHeaders, 'content-type': 'application/json', 'cache-control': 'private' };

/** The orders are not parsed: each one is exactly as `GET /order/:uid` answers it. */
const toBody = (uids: readonly OrderUid[], answers: readonly Answer[]): Blob => {
  const orders: (string | Uint8Array<ArrayBuffer>)[] = [];
  const missing: OrderUid[] = [];
  const source: string[] = [];
  for (const [index, { document, steps }] of answers.entries()) {
    if (!document) {
      missing.push(uids[index] as OrderUid);
      continue;
    }
    if (orders.length > 0) orders.push(',');
    orders.push(document.body);
    source.push(cacheStatus(steps));
  }
  const rest = `],"missing":${JSON.stringify(missing)},"source":${JSON.stringify(source)}}`;
  return new Blob(['{"orders":[', ...orders, rest]);
};

export const wrongCount = (count: number) => ({
  status: 400,
  title: count === 0 ? 'No order number' : 'Too many order numbers',
  detail: `Send 1 to ${maxUids} order numbers, as in ?uid=…&uid=…; this request has ${count}.`,
});

const malformedAt = (position: number) => ({
  status: 400,
  title: 'Malformed order number',
  detail: `Number ${position} of this request is not an order number, which has ${uidRule}.`,
});

const example = {
  orders: [exampleOrder],
  missing: ['no-such-order'],
  source: ['memory; fwd=miss, redis; hit'],
};

const getOrders = {
  operationId: 'getOrders',
  summary: 'Several orders',
  description: `The orders that have these numbers, in the order of the numbers; a number that is repeated counts once. The request counts as
as many requests as it has numbers, towards the limit of its client.`,
  tags: ['orders'],
  parameters: [
    {
      name: 'uid',
      in: 'query',
      required: true,
      description: `The order numbers, each one as a parameter of its own: ${uidRule}`,
      schema: {
        type: 'array',
        minItems: 1,
        maxItems: maxUids,
        items: { type: 'string', minLength: 10, maxLength: 50, pattern: '^[^\\u0000]*$' },
      },
      style: 'form',
      explode: true,
      example: [exampleOrder.order_uid],
    },
  ],
  responses: {
    200: {
      description: 'The orders that exist, and the numbers that no order has',
      headers: {
        'Cache-Control': textHeader('Orders are personal data: shared caches must not store them', 'private'),
        ...idHeaders,
      },
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['orders', 'missing', 'source'],
            properties: {
              orders: { type: 'array', items: schemaOf('Order') },
              missing: {
                type: 'array',
                items: { type: 'string' },
                description: 'The numbers that no order has',
              },
              source: {
                type: 'array',
                items: { type: 'string' },
                description:
                  'Of each order in `orders`, which cache answered, as `Cache-Status` of `GET /order/{uid}`',
              },
            },
          },
          example,
        },
      },
    },
    400: problemResponse(
      'There is no number, there are more than 100, or one of them, or the `Host` header, is malformed',
      wrongCount(0),
    ),
    421: misdirectedResponse,
    429: tooManyRequestsResponse,
    // The server answers so before any route, without a body.
    431: {
      description:
        'The request line and headers have more than 16 kB: many long numbers that are percent-encoded',
    },
    500: internalServerErrorResponse,
    503: problemResponse(
      'The database does not answer, so whether some of the orders exist is unknown',
      unavailable,
      retryHeaders,
    ),
  },
};
