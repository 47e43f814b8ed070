import { sleep } from './retry.ts';

/** The error of an operation that did not answer within `ms`, named as that of `AbortSignal.timeout`. */
export const timeoutError = (ms: number): Error =>
  Object.assign(new Error(`no answer within ${ms} ms`), { name: 'TimeoutError' });

/** Waits for `promise`, for at most `ms`. Rejects if it rejects within that time. */
export const waitAtMost = async (ms: number, promise: Promise<unknown>): Promise<void> => {
  const settled = new AbortController();
  await Promise.race([promise, sleep(ms, settled.signal)]).finally(() => settled.abort());
};

/** As `answer`, but rejects if it does not settle within `ms`. A later result is ignored. */
export const withTimeout = <T>(ms: number, answer: Promise<T>): Promise<T> => {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(timeoutError(ms)), ms);
  return Promise.race([answer, timeout.promise]).finally(() => clearTimeout(timer));
};

/** As `promise`, but rejects with the signal's reason as soon as that is aborted. */
export const raceAbort = async <T>(signal: AbortSignal, promise: Promise<T>): Promise<T> => {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener('abort', abort));
};
