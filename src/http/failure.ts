import type { Log } from '../observability/log.ts';
import { problemResponse } from './contract.ts';
import { toProblem } from './problem.ts';
import { requestId } from './request-id.ts';

const internalServerError = {
  status: 500,
  title: 'Internal server error',
  detail: 'The error has been logged. Please try again later.',
};

export const internalServerErrorResponse = problemResponse('A bug of the program', internalServerError);

/** Answers a request that failed with an unexpected error: logs the error, and says nothing of it to the client. */
export const createFailure = (log: Log) => (request: Request, error: unknown) => {
  const { method } = request;
  log.error({ requestId: requestId(request), method, ...withoutMessage(error) }, 'a request failed');
  return toProblem(request, internalServerError);
};

/** The error's kind and stack frames. Its message and its fields may quote an order, which is personal data. */
const withoutMessage = (error: unknown) => {
  const { name, code, message, stack } = (error ?? {}) as Record<string, unknown>;
  const text = String(stack ?? '');
  // A line of the message may look like a frame.
  const frames = typeof message === 'string' ? text.slice(text.indexOf(message) + message.length) : text;
  const lines = frames.split('\n', 1_000).map((line) => line.trim());
  return { name, code, at: lines.filter((line) => line.startsWith('at ')).slice(0, 10) };
};
