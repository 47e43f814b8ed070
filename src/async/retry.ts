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
