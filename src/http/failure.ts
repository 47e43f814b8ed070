import type { Log } from '../log.ts';
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
  const { name, code, stack } = (error ?? {}) as { name?: unknown; code?: unknown; stack?: unknown };
  const frames = String(stack ?? '').match(/^\s+at .*$/gm) ?? [];
  return { name, code, at: frames.slice(0, 10).map((frame) => frame.trim()) };
};
