import { Html } from '@elysiajs/html';
import { Orders } from '../../../views/console/orders.tsx';
import { toProblem } from '../../http/problem.ts';
import { noStoreHeaders } from '../../http/security-headers.ts';
import { reasonOf } from '../../observability/error-reason.ts';
import type { Log } from '../../observability/log.ts';
import type { OrderUid } from '../../order/order.ts';
import { type OrderSearch, type SearchField, searchFieldNames } from '../../postgres/search.ts';
import { respondPage, viewFor } from '../page.ts';
import { badRequest, databaseUnavailable } from '../problems.ts';
import type { ConsoleRoute } from '../route.ts';
import { logUse } from '../use-log.ts';
import { exportOperation, listOperation } from './contract.ts';
import { exportPage, formats, streamOrders } from './export.ts';
import { createFindOrders } from './find.ts';
import { type Query, readQuery } from './query.ts';

type Options = {
  search: OrderSearch;
  /** The fields whose index is complete. */
  readyFields: () => Promise<ReadonlySet<SearchField>>;
};

/** Orders for operators: lists, the search, and the export. */
export const createOrderRoutes = ({ search, readyFields }: Options): ConsoleRoute[] => {
  const find = createFindOrders({ search, readyFields });

  /** Undefined while the database does not answer. */
  const ifAvailable = async <Result,>(log: Log, read: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await read();
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'a search of the console failed');
      return undefined;
    }
  };

  const findOrders = ({ q, limit, cursor }: Query, operator: string, log: Log) =>
    ifAvailable(log, async () => {
      const list = await find(q, { limit, cursor });
      logUse(log, operator, { action: 'search', kind: list.kind, found: list.orders.length });
      return list;
    });

  return [
    {
      method: 'GET',
      path: '/console/orders',
      async answer({ request, url, operator, assets, log }) {
        const view = viewFor(request, operator);
        const query = readQuery(url.searchParams);
        const isValid = !('invalid' in query);
        const ready = isValid ? await ifAvailable(log, readyFields) : undefined;
        const list = isValid && ready ? await findOrders(query, operator, log) : undefined;
        const error = isValid ? (list ? undefined : view.words.databaseUnavailable) : query.invalid;
        const html = (
          <Orders
            view={view}
            assets={assets}
            q={isValid ? query.q : ''}
            fields={searchFieldNames.filter((field) => ready?.has(field))}
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
        const format = formats.find((one) => one === (url.searchParams.get('format') ?? 'ndjson'));
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
        const read = query.q.trim() === '' ? all : found;
        const stream = await ifAvailable(log, () =>
          streamOrders(read, format, (orders, isWhole) =>
            logUse(log, operator, {
              action: 'export',
              format,
              orders,
              state: isWhole ? 'done' : 'cancelled',
            }),
          ),
        );
        if (!stream) return toProblem(request, databaseUnavailable, { 'retry-after': '5' });
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
