import { requestId } from './request-id.ts';
import { dataHeaders } from './security-headers.ts';

/** An error as RFC 9457 has it. `detail` is a sentence for a person; nothing of a query, a stack or the input is in it. */
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
        ...dataHeaders,
        'content-type': 'application/problem+json',
        'cache-control': 'no-store',
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
    title: { type: 'string', description: 'What kind of error' },
    status: { type: 'integer', description: 'The HTTP status' },
    detail: { type: 'string', description: 'A sentence for a person' },
    requestId: { type: 'string', description: 'The `X-Request-Id` of the answer, as it is in the log' },
  },
} as const;
