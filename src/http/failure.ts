import type { Log } from '../observability/log.ts';
import { toProblem } from './problem.ts';
import { requestId } from './request-id.ts';

/** Notes an error that nobody expected; who asked is told no more than that there was one. */
export const createFailure = (log: Log) => (request: Request, error: unknown) => {
  const { method } = request;
  log.error({ requestId: requestId(request), method, ...withoutWords(error) }, 'a request failed');
  return toProblem(request, {
    status: 500,
    title: 'Our mistake',
    detail: 'It has been noted. Please try again later.',
  });
};

/** What an error is and where it arose. Its message and its fields may quote an order, which is personal. */
const withoutWords = (error: unknown) => {
  const { name, code, message, stack } = (error ?? {}) as Record<string, unknown>;
  const text = String(stack ?? '');
  // A line of the message may begin as a frame does.
  const frames = typeof message === 'string' ? text.slice(text.indexOf(message) + message.length) : text;
  const lines = frames.split('\n', 1_000).map((line) => line.trim());
  return { name, code, at: lines.filter((line) => line.startsWith('at ')).slice(0, 10) };
};
