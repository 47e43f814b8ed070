const shortest = 100;
const longest = 5_000;

/** How long to wait before attempt `attempt` (from 0), in ms: twice as long each time, from 100 ms to 5 s, less up to half of it. */
export const backoff = (attempt: number) => {
  const full = Math.min(shortest * 2 ** attempt, longest);
  return Math.max(shortest, full * (0.5 + Math.random() / 2));
};

/** Resolves after `ms`, or at once when `signal` is aborted. */
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
 * Does `work` until it succeeds, for ever, with `backoff` between attempts. Rejects with the signal's reason once it is
 * aborted, and with an error of `work` for which `isFinal` holds. `failed` is told of each failure that is followed by another attempt.
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
      // Work that was given up because of the signal has not failed.
      signal.throwIfAborted();
      failed(error);
      await sleep(backoff(attempt), signal);
    }
  }
};

/** Resolves when `promise` does, or after `ms`. Rejects with `promise`. */
export const waitAtMost = async (ms: number, promise: Promise<unknown>): Promise<void> => {
  const over = new AbortController();
  await Promise.race([promise, sleep(ms, over.signal)]).finally(() => over.abort());
};

/** As `answer`, but rejects when it has not come within `ms`; what comes of it later is nobody's. */
export const withTimeout = <T>(ms: number, answer: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    answer.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });

/** As `promise`, but rejects with the signal's reason as soon as that is aborted. */
export const raceAbort = async <T>(signal: AbortSignal, promise: Promise<T>): Promise<T> => {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener('abort', abort));
};
