/** What routes state their contracts with: operations of OpenAPI 3.1, which `/swagger/json` collects from the router. */
import type { Problem } from './problem.ts';

export type Operation = {
  operationId: string;
  summary: string;
  description?: string;
  tags: readonly string[];
  parameters?: readonly object[];
  requestBody?: object;
  /** Undefined: no authentication. */
  security?: readonly object[];
  responses: Record<number, object>;
};

/** The hook by which Elysia keeps a contract with its route. Elysia's own types are those of OpenAPI 3.0. */
export const contract = (operation: Operation) => ({ detail: operation as never });

export const textHeader = (description: string, example: string) => ({
  description,
  schema: { type: 'string' },
  example,
});

export const retryHeaders = {
  'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer', minimum: 0 } },
};

/** The id of the request in the examples. */
export const exampleId = '0b5f6d0c-6f0e-4d0a-9a53-2f1e6f6d7c11';
export const idHeaders = {
  'X-Request-Id': textHeader(
    "The request's own `X-Request-Id`, or a new one; it is in the log too",
    exampleId,
  ),
};

export const schemaOf = (name: 'Order' | 'Problem' | 'Health') => ({ $ref: `#/components/schemas/${name}` });

export const jsonResponse = (description: string, schema: object, example: object) => ({
  description,
  headers: idHeaders,
  content: { 'application/json': { schema, example } },
});

export const problemResponse = (description: string, problem: Problem, headers: object = {}) => ({
  description,
  headers: { ...headers, ...idHeaders },
  content: {
    'application/problem+json': {
      schema: schemaOf('Problem'),
      example: { type: 'about:blank', ...problem, requestId: exampleId },
    },
  },
});
