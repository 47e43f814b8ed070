import { jsonResponse, problemResponse, retryHeaders } from '../../http/contract.ts';
import { operation, text } from '../contract.ts';
import { badRequest, databaseUnavailable } from '../problems.ts';
import { formats } from './export.ts';
import { cursorPattern } from './find.ts';
import { maxLimit, maxQuery } from './query.ts';

const unavailableResponse = problemResponse(
  'The database does not answer',
  databaseUnavailable,
  retryHeaders,
);
const integer = { type: 'integer' } as const;
const q = {
  name: 'q',
  in: 'query',
  description:
    'A number, its beginning from 4 characters on, or its short form `8e3d…3afd4`; and, as far as `CONSOLE_SEARCH` names them, a track number, customer, phone, email, transaction, `rid` or `nm_id`. Without it: all, the last stored first',
  schema: { ...text, maxLength: maxQuery, pattern: '^[^\\u0000]*$' },
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

export const listOperation = operation({
  operationId: 'findOrders',
  summary: 'Orders, the last stored first, or found by their fields',
  parameters: [
    q,
    {
      name: 'limit',
      in: 'query',
      description: 'Orders of a page',
      schema: { ...integer, minimum: 1, maximum: maxLimit },
    },
    {
      name: 'cursor',
      in: 'query',
      description: 'The `next` of the page before',
      schema: { ...text, pattern: cursorPattern },
    },
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
                items: { ...integer, description: 'How many items it has' },
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
    503: unavailableResponse,
  },
});

export const exportOperation = operation({
  operationId: 'exportOrders',
  summary: 'Orders as a file',
  description:
    'All orders, the last stored first, or those that `q` finds. In CSV a text that a spreadsheet would run as a formula has an apostrophe before it. A connection that is cut before the end means that the file is not whole.',
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
    503: unavailableResponse,
  },
});
