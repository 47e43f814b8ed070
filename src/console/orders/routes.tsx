import { Html } from '@elysiajs/html';
import { Orders } from '../../../views/console/orders.tsx';
import { jsonResponse, problemResponse, retryHeaders } from '../../http/contract.ts';
import { toProblem } from '../../http/problem.ts';
import { noStoreHeaders } from '../../http/security-headers.ts';
import { reasonOf } from '../../observability/error-reason.ts';
import type { Log } from '../../observability/log.ts';
import type { OrderUid } from '../../order/order.ts';
import type { OrderSearch, SearchField } from '../../postgres/search.ts';
import { operation } from '../contract.ts';
import { respondPage, viewFor } from '../page.ts';
import { badRequest, databaseUnavailable } from '../problems.ts';
import type { ConsoleRoute } from '../route.ts';
import { exportPage, formats, streamOrders } from './export.ts';
import { createFindOrders, isCursor } from './find.ts';

type Options = {
  search: OrderSearch;
  /** The fields whose index is complete. */
  readyFields: () => Promise<ReadonlySet<SearchField>>;
};

const defaultLimit = 50;
const maxLimit = 200;
const maxQuery = 200;

type Query = { q: string; limit: number; cursor: string | undefined };

/** What is asked for, or what is wrong with it as a sentence. */
const readQuery = (query: URLSearchParams): Query | { invalid: string } => {
  const q = query.get('q') ?? '';
  if (q.length > maxQuery || q.includes('\0'))
    return { invalid: `q is not allowed; allowed: up to ${maxQuery} characters, none of them NUL.` };
  const limit = Number(query.get('limit') || defaultLimit);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit)
    return { invalid: `limit is not allowed; allowed: an integer from 1 to ${maxLimit}.` };
  const cursor = query.get('cursor') || undefined;
  if (cursor !== undefined && !isCursor(cursor))
    return { invalid: 'cursor is not allowed; allowed: the "next" of the page before.' };
  return { q, limit, cursor };
};

/** Orders for operators: lists, the search, and the export. */
export const createOrderRoutes = ({ search, readyFields }: Options): ConsoleRoute[] => {
  const find = createFindOrders({ search, readyFields });

  const audit = (log: Log, operator: string, more: Record<string, unknown>) =>
    log.info({ operator, ...more }, 'an operator used the console');

  /** Undefined while the database does not answer. */
  const findOrders = async ({ q, limit, cursor }: Query, operator: string, log: Log) => {
    try {
      const list = await find(q, { limit, cursor });
      audit(log, operator, { action: 'search', kind: list.kind, found: list.orders.length });
      return list;
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'a search of the console failed');
      return undefined;
    }
  };

  return [
    {
      method: 'GET',
      path: '/console/orders',
      async answer({ request, url, operator, assets, log }) {
        const view = viewFor(request, operator);
        const query = readQuery(url.searchParams);
        const isValid = !('invalid' in query);
        const list = isValid ? await findOrders(query, operator, log) : undefined;
        const error = isValid ? (list ? undefined : view.words.databaseUnavailable) : query.invalid;
        const html = (
          <Orders
            view={view}
            assets={assets}
            q={isValid ? query.q : ''}
            list={list}
            error={error}
            isLater={isValid && query.cursor !== undefined}
          />
        );
        return respondPage(request, view, html, isValid ? (list ? 200 : 503) : 400);
      },
    },
    {
      method: 'GET',
      path: '/console/api/orders',
      async answer({ request, url, operator, log }) {
        const query = readQuery(url.searchParams);
        if ('invalid' in query) return toProblem(request, badRequest(query.invalid));
        const list = await findOrders(query, operator, log);
        if (!list) return toProblem(request, databaseUnavailable, { 'retry-after': '5' });
        const { orders, next = null, kind = null, unsearched } = list;
        return Response.json({ orders, kind, unsearched, next }, { headers: noStoreHeaders });
      },
      operation: listOperation,
    },
    {
      method: 'GET',
      path: '/console/api/orders/export',
      async answer({ request, url, operator, log }) {
        const query = readQuery(url.searchParams);
        if ('invalid' in query) return toProblem(request, badRequest(query.invalid));
        const format = formats.find((one) => one === (url.searchParams.get('format') || 'ndjson'));
        if (!format)
          return toProblem(request, badRequest(`format is not allowed; allowed: ${formats.join(', ')}.`));
        const found = async (cursor: string | undefined) => {
          const { orders, next } = await find(query.q, { limit: exportPage, cursor });
          return {
            documents: await search.documentsOf(orders.map(({ order_uid }) => order_uid as OrderUid)),
            next,
          };
        };
        const all = (after: string | undefined) => search.documents({ limit: exportPage, after });
        const stream = streamOrders(query.q.trim() === '' ? all : found, format, (orders, isWhole) =>
          audit(log, operator, { action: 'export', format, orders, state: isWhole ? 'done' : 'cancelled' }),
        );
        return new Response(stream, {
          headers: {
            ...noStoreHeaders,
            'content-type': format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson',
            'content-disposition': `attachment; filename="orders.${format}"`,
            'x-accel-buffering': 'no',
          },
        });
      },
      operation: exportOperation,
    },
  ];
};

const text = { type: 'string' } as const;
const integer = { type: 'integer' } as const;
const q = {
  name: 'q',
  in: 'query',
  description:
    'A number, its beginning from 4 characters on, or its short form `8e3d…3afd4`; a track number, customer, phone, e-mail, transaction, `rid` or `nm_id`. Without it: the newest',
  schema: { ...text, maxLength: maxQuery },
};
const exampleFound = {
  order_uid: 'b563feb7b2b84b6test',
  date_created: '2021-11-26T06:22:19Z',
  amount: 1817,
  currency: 'USD',
  name: 'Test Testov',
  city: 'Kiryat Mozkin',
  track_number: 'WBILMTESTTRACK',
  items: 1,
};

const listOperation = operation({
  operationId: 'findOrders',
  summary: 'Orders, the newest, or found by any of their fields',
  parameters: [
    q,
    {
      name: 'limit',
      in: 'query',
      description: 'Orders of a page',
      schema: { ...integer, minimum: 1, maximum: maxLimit },
    },
    { name: 'cursor', in: 'query', description: 'The `next` of the page before', schema: text },
  ],
  responses: {
    200: jsonResponse(
      'A page of orders',
      {
        type: 'object',
        required: ['orders', 'kind', 'unsearched', 'next'],
        properties: {
          orders: {
            type: 'array',
            items: {
              type: 'object',
              required: Object.keys(exampleFound),
              properties: {
                order_uid: text,
                date_created: text,
                amount: { type: 'number' },
                currency: text,
                name: text,
                city: text,
                track_number: text,
                items: { ...integer, description: 'The number of them' },
              },
            },
          },
          kind: { type: ['string', 'null'], description: 'What `q` was taken for' },
          unsearched: {
            type: 'array',
            items: text,
            description: 'What `q` may also be, and is not searched by (`CONSOLE_SEARCH`), or not yet',
          },
          next: { type: ['string', 'null'] },
        },
      },
      { orders: [exampleFound], kind: 'number', unsearched: [], next: null },
    ),
    400: problemResponse(
      'A parameter is not allowed',
      badRequest('limit is not allowed; allowed: an integer from 1 to 200.'),
    ),
    503: problemResponse('The database does not answer', databaseUnavailable, retryHeaders),
  },
});

const exportOperation = operation({
  operationId: 'exportOrders',
  summary: 'Orders as a file',
  description:
    'All orders, newest first, or those that `q` finds. In CSV a text that a spreadsheet would run as a formula has an apostrophe before it. A connection that is cut before the end means that the file is not whole.',
  parameters: [
    q,
    { name: 'format', in: 'query', schema: { ...text, enum: formats }, description: 'Without it: ndjson' },
  ],
  responses: {
    200: {
      description: 'The orders',
      content: {
        'application/x-ndjson': { schema: text, example: '{"order_uid":"b563feb7b2b84b6test"}\n' },
        'text/csv': {
          schema: text,
          example: 'order_uid,date_created\r\nb563feb7b2b84b6test,2021-11-26T06:22:19Z\r\n',
        },
      },
    },
    400: problemResponse(
      'A parameter is not allowed',
      badRequest('format is not allowed; allowed: csv, ndjson.'),
    ),
  },
});
