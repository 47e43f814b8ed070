/** What the OpenAPI document says of each route, beyond what its schema in `components` says. */

const problem = (description: string, headers: Record<string, ReturnType<typeof text>> = {}) => ({
  description,
  headers,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});

const text = (description: string) => ({ description, schema: { type: 'string' as const } });

const wayHeaders = {
  'Cache-Status': text(
    'Which cache answered, as RFC 9211 has it: `memory; hit`, `memory; fwd=miss, redis; hit`, …',
  ),
  'Server-Timing': text('What each tier that was asked took, in ms: `memory;dur=0.004, postgres;dur=1.250`'),
};
const foundHeaders = { ETag: text('Strong entity tag of the order'), ...wayHeaders };

export const orderDetail = {
  summary: 'An order',
  operationId: 'getOrder',
  description: 'The order that has this number, exactly as it was sent, its date in UTC.',
  tags: ['orders'],
  parameters: [
    {
      name: 'uid',
      in: 'path' as const,
      required: true,
      description: 'The order number, 10 to 50 characters',
      schema: { type: 'string' as const, minLength: 10, maxLength: 50 },
      example: 'b563feb7b2b84b6test',
    },
    {
      name: 'If-None-Match',
      in: 'header' as const,
      required: false,
      description: 'The `ETag` of an answer that is still at hand',
      schema: { type: 'string' as const },
    },
  ],
  responses: {
    200: {
      description: 'The order',
      headers: foundHeaders,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Order' } } },
    },
    304: { description: 'The order is the one at hand', headers: foundHeaders },
    400: problem('The number is malformed'),
    404: problem('No order has this number', wayHeaders),
    503: problem('Whether there is such an order cannot be told now', {
      'Retry-After': text('Seconds to wait'),
    }),
  },
};

const json = (description: string) => ({
  description,
  content: { 'application/json': { schema: { type: 'object' as const } } },
});

export const livenessDetail = {
  summary: 'Whether the process is alive',
  operationId: 'getHealth',
  tags: ['operations'],
  responses: { 200: json('It is') },
};

export const healthDetail = {
  summary: 'Whether lookups can be answered, and the state of each part',
  operationId: 'getReadiness',
  tags: ['operations'],
  responses: {
    200: json('They can; `degraded` when Kafka or Redis is away'),
    503: json('They cannot: PostgreSQL is away'),
  },
};
