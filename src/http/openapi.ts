import packageJson from '../../package.json' with { type: 'json' };
import { exampleOrder } from '../order/example.ts';
import { Order } from '../order/order.ts';
import { type Health, HealthSchema } from './health.ts';
import { ProblemSchema } from './problem.ts';

const text = (description: string, example: string) => ({
  description,
  schema: { type: 'string' },
  example,
});
const seconds = (description: string) => ({
  description,
  schema: { type: 'integer', minimum: 0 },
});

/** Of a request, as in the examples. */
export const exampleId = '0b5f6d0c-6f0e-4d0a-9a53-2f1e6f6d7c11';
const idHeaders = {
  'X-Request-Id': text("The request's own `X-Request-Id`, or a new one; it is in the log too", exampleId),
};

const schemaOf = (name: 'Order' | 'Problem' | 'Health') => ({ $ref: `#/components/schemas/${name}` });

const problem = (
  description: string,
  example: { status: number; title: string; detail: string },
  headers: Record<string, object> = {},
) => ({
  description,
  headers: { ...headers, ...idHeaders },
  content: {
    'application/problem+json': {
      schema: schemaOf('Problem'),
      example: { type: 'about:blank', ...example, requestId: exampleId },
    },
  },
});

const ourMistake = problem('A mistake of ours', {
  status: 500,
  title: 'Our mistake',
  detail: 'It has been noted. Please try again later.',
});

const wayHeaders = {
  'Cache-Status': text(
    'Which cache answered, as RFC 9211 has it; `memory; fwd=miss` alone: none did',
    'memory; fwd=miss, redis; hit',
  ),
  'Server-Timing': text('What each tier that was asked took, in ms', 'memory;dur=0.004, postgres;dur=1.250'),
};
const retryHeaders = { 'Retry-After': seconds('Seconds to wait') };
const foundHeaders = {
  ETag: text('Strong entity tag of the order', '"2xxw1dd0nv9ju"'),
  'Cache-Control': text('An order is personal: no shared cache may keep it', 'private'),
  ...wayHeaders,
  ...idHeaders,
};

const getOrder = {
  operationId: 'getOrder',
  summary: 'An order',
  description:
    'The order that has this number, exactly as it was sent, its date in UTC. An order never changes.',
  tags: ['orders'],
  parameters: [
    {
      name: 'uid',
      in: 'path',
      required: true,
      description: 'The order number: 10 to 50 characters, none of them NUL, percent-encoded in UTF-8',
      schema: { type: 'string', minLength: 10, maxLength: 50, pattern: '^[^\\u0000]*$' },
      example: exampleOrder.order_uid,
    },
    {
      name: 'If-None-Match',
      in: 'header',
      description: 'The `ETag` of an answer that is still at hand',
      schema: { type: 'string' },
      example: '"2xxw1dd0nv9ju"',
    },
    {
      name: 'X-Request-Id',
      in: 'header',
      description:
        'An id of the caller’s own for this request, up to 128 characters of `A-Z a-z 0-9 _ . : / + = @ -`; anything else is ignored',
      schema: { type: 'string' },
      example: exampleId,
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
          description: 'Costs no body while the order is at hand',
          parameters: { 'path.uid': '$request.path.uid', 'header.If-None-Match': '$response.header.ETag' },
        },
      },
    },
    304: { description: 'The order is the one at hand', headers: foundHeaders },
    400: problem('The number is malformed', {
      status: 400,
      title: 'Malformed order number',
      detail: 'An order number has 10 to 50 characters, none of them NUL, percent-encoded in UTF-8.',
    }),
    404: problem(
      'No order has this number',
      { status: 404, title: 'No such order', detail: 'No order has this number.' },
      wayHeaders,
    ),
    429: problem(
      'The client has asked too often (`RATE_LIMIT`)',
      {
        status: 429,
        title: 'Too many requests',
        detail: 'One client may ask 6000 times a minute. Please wait 1 s.',
      },
      retryHeaders,
    ),
    500: ourMistake,
    503: problem(
      'Whether there is such an order cannot be told now',
      {
        status: 503,
        title: 'Cannot tell now',
        detail: 'The database does not answer. Please try again shortly.',
      },
      retryHeaders,
    ),
  },
};

const json = (description: string, schema: object, example: object) => ({
  description,
  headers: idHeaders,
  content: { 'application/json': { schema, example } },
});

const getLiveness = {
  operationId: 'getLiveness',
  summary: 'Whether the process is alive',
  tags: ['operations'],
  responses: {
    200: json(
      'It is',
      {
        type: 'object',
        required: ['status'],
        properties: { status: { type: 'string', enum: ['alive'] } },
      },
      { status: 'alive' },
    ),
  },
};

const works = { state: 'works' } as const;
const degraded: Health = {
  status: 'degraded',
  parts: {
    postgres: works,
    redis: { state: 'away', reason: 'connect ECONNREFUSED' },
    kafka: works,
    consumers: works,
    offsets: works,
    cache: works,
  },
};
const unready: Health = {
  status: 'unready',
  parts: {
    postgres: { state: 'away', reason: 'no answer within 1000 ms' },
    redis: { state: 'off' },
    kafka: works,
    consumers: { state: 'away', reason: 'consumer-1 waits for PostgreSQL: no answer' },
    offsets: works,
    cache: { state: 'warming' },
  },
};

const getReadiness = {
  operationId: 'getReadiness',
  summary: 'Whether lookups can be answered, and the state of each part',
  tags: ['operations'],
  responses: {
    200: json('They can; `degraded` when Kafka or Redis is away', schemaOf('Health'), degraded),
    500: ourMistake,
    503: json('They cannot, as PostgreSQL is away, or not for long: `stopping`', schemaOf('Health'), unready),
  },
};

/** The contract with other programs, but for where the server is. The page, its live list and the metrics are not part of it. */
export const document = {
  info: {
    title: 'Order Lookup',
    version: packageJson.version,
    description: `${packageJson.description}

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems. \`HEAD\` is answered wherever \`GET\` is; any other
method gets \`405\` with \`Allow\`.`,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  tags: [
    { name: 'orders', description: 'Looking orders up' },
    { name: 'operations', description: 'For who runs the program' },
  ],
  security: [],
  paths: {
    '/order/{uid}': { get: getOrder },
    '/healthz': { get: getLiveness },
    '/readyz': { get: getReadiness },
  },
  components: {
    schemas: {
      Order: { ...Order, $id: undefined },
      Problem: ProblemSchema,
      Health: HealthSchema,
    },
  },
};
