import { jsonResponse, problemResponse, retryHeaders } from '../../http/contract.ts';
import { type Problem, toProblem } from '../../http/problem.ts';
import { noStoreHeaders } from '../../http/security-headers.ts';
import type { Erasures } from '../../postgres/erasures.ts';
import { bodyOf, readBody } from '../body.ts';
import { operation, text } from '../contract.ts';
import { badRequest, databaseUnavailable } from '../problems.ts';
import type { ConsoleRoute } from '../route.ts';
import { createEraser, type Failure, maxOrders } from './eraser.ts';
import { EraseSchema, eraseBodies, selectionOf } from './selection.ts';

const busy = 'PostgreSQL is storing orders, or cleaning up, for too long. Please try again shortly.';
const forbidden = 'The role of this program in PostgreSQL may not erase orders: SECURITY.md has the rights.';
const conflict = (detail: string): Problem => ({ status: 409, title: 'Not confirmed', detail });

const problemOf = ({ failed, erased, found, again }: Failure): Problem => {
  const before = again
    ? `${erased} orders are erased, ${again.left} are left: repeat the request with "count": ${again.count}, "set": "${again.set}". `
    : '';
  if (failed === 'tooMany')
    return badRequest(`More than ${maxOrders} orders match: use \`bun run orders erase\`.`);
  if (failed === 'changed' || failed === 'unconfirmed')
    return conflict(
      `Nothing was erased: ${found?.uids.length} orders match, not those of "count" and "set". Look at them by a dry run.`,
    );
  const detail = { busy, forbidden, unavailable: databaseUnavailable.detail }[failed];
  return { ...databaseUnavailable, detail: `${before}${detail}` };
};

const respond = (request: Request, failure: Failure) => {
  const problem = problemOf(failure);
  return toProblem(request, problem, problem.status === 503 ? { 'retry-after': '5' } : {});
};

const json = (value: object) => Response.json(value, { headers: noStoreHeaders });

/** The API of erasures. */
export const createEraseApi = (erasures: Erasures): ConsoleRoute => ({
  method: 'POST',
  path: '/console/api/erase',
  async answer({ request, operator, log }) {
    const body = readBody(EraseSchema, await request.text());
    if ('invalid' in body) return toProblem(request, badRequest(body.invalid));
    const selection = selectionOf(body);
    if ('invalid' in selection) return toProblem(request, badRequest(selection.invalid));
    const { dryRun: isDry = false, count, set } = body;
    const eraser = createEraser({ erasures, operator, log });
    if (isDry) {
      const found = await eraser.find(selection);
      if ('failed' in found) return respond(request, found);
      const { uids, stored } = found;
      return json({ count: uids.length, stored: stored.length, set: found.set, uids });
    }
    if (count === undefined)
      return toProblem(
        request,
        badRequest('"count" is needed, as a dry run has reported it; or "dryRun": true.'),
      );
    const done = await eraser.erase(selection, { count, set });
    return 'failed' in done ? respond(request, done) : json(done);
  },
  operation: eraseOperation,
});

const integer = { type: 'integer', minimum: 0 } as const;
const exampleUid = 'b563feb7b2b84b6test';

const eraseOperation = operation({
  operationId: 'eraseOrders',
  summary: 'Erases orders for good',
  description:
    'Deletes the orders, and marks their numbers by a keyed digest, so that a message that is read again does not bring them back. A dry run reports how many there are; this count confirms the erasure. With `set` as well, nothing is erased if they are other orders by then.',
  requestBody: bodyOf({ anyOf: eraseBodies }, { email: 'test@gmail.com', dryRun: true }),
  responses: {
    200: jsonResponse(
      'What would be erased, or what was erased',
      {
        oneOf: [
          {
            type: 'object',
            title: 'Dry run',
            required: ['count', 'stored', 'set', 'uids'],
            properties: {
              count: { ...integer, description: 'Orders that would be erased, or only marked' },
              stored: { ...integer, description: 'Those of them that are stored' },
              set: { ...text, description: 'Identifies these orders' },
              uids: { type: 'array', items: text },
            },
          },
          {
            type: 'object',
            title: 'Erasure',
            required: ['erased', 'marked'],
            properties: {
              erased: integer,
              marked: { ...integer, description: 'Orders that were not stored' },
            },
          },
        ],
      },
      { count: 1, stored: 1, set: '3f0c6f2f4c1d5a7be0d2b7c0a9f1e4d8', uids: [exampleUid] },
    ),
    400: problemResponse(
      'The body is wrong, or too many orders match',
      badRequest('The body needs one of these: "uids", "phone", "email", "customer_id".'),
    ),
    409: problemResponse(
      'Other orders match than were confirmed',
      problemOf({ failed: 'changed', erased: 0, found: { uids: [exampleUid], stored: [], set: '' } }),
    ),
    503: problemResponse(
      'The database does not answer, is busy, or refuses',
      databaseUnavailable,
      retryHeaders,
    ),
  },
});
