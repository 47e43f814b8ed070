import { requestId } from './request-id.ts';
import { noStoreHeaders } from './security-headers.ts';

/** An error in the terms of RFC 9457. `detail` is a sentence for a person, without any query, stack or input. */
export type Problem = { status: number; title: string; detail: string };

export const toProblem = (
  request: Request,
  { status, title, detail }: Problem,
  headers: Record<string, string> = {},
): Response =>
  Response.json(
    { type: 'about:blank', title, status, detail, requestId: requestId(request) },
    {
      status,
      headers: {
        ...noStoreHeaders,
        'content-type': 'application/problem+json',
        'x-request-id': requestId(request),
        ...headers,
      },
    },
  );

/** The JSON Schema of every error's body. */
export const ProblemSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'requestId'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string', description: 'The kind of error' },
    status: { type: 'integer', description: 'The HTTP status' },
    detail: { type: 'string', description: 'A sentence for a person' },
    requestId: { type: 'string', description: 'The `X-Request-Id` of the response, as in the log' },
  },
} as const;
