const minBackoffMs = 100;
const maxBackoffMs = 5_000;

/** Exponential backoff with jitter before attempt `attempt` (from 0), in ms: doubled each time from 100 ms to 5 s, less up to half. */
export const backoff = (attempt: number) => {
  const full = Math.min(minBackoffMs * 2 ** attempt, maxBackoffMs);
  return Math.max(minBackoffMs, full * (0.5 + Math.random() / 2));
};

/** Resolves after `ms`, or as soon as `signal` is aborted. */
export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish);
  });

/**
 * Runs `work` until it succeeds, with `backoff` between attempts. Rejects with the signal's reason when that is aborted, and with an
 * error of `work` for which `isFinal` is true. `failed` is called with each error that is followed by another attempt.
 */
export const retry = async <T>(
  work: () => Promise<T>,
  {
    signal,
    isFinal = () => false,
    failed = () => {},
  }: { signal: AbortSignal; isFinal?: (error: unknown) => boolean; failed?: (error: unknown) => void },
): Promise<T> => {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (isFinal(error)) throw error;
      // An error caused by the abort is not a failure of the work.
      signal.throwIfAborted();
      failed(error);
      await sleep(backoff(attempt), signal);
    }
  }
};

/** Waits for `promise`, for at most `ms`. Rejects if it rejects within that time. */
export const waitAtMost = async (ms: number, promise: Promise<unknown>): Promise<void> => {
  const settled = new AbortController();
  await Promise.race([promise, sleep(ms, settled.signal)]).finally(() => settled.abort());
};

/** As `answer`, but rejects if it does not settle within `ms`. A later result is ignored. */
export const withTimeout = <T>(ms: number, answer: Promise<T>): Promise<T> => {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error(`no answer within ${ms} ms`)), ms);
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
