/** Failures in a row after which a service is left alone. */
const failuresAtMost = 3;
/** For how long, in ms: the first time, and at most; it doubles each time while the service does not stay well. */
const pauseFirst = 500;
const pauseAtMost = 10_000;

export type Breaker = ReturnType<typeof createBreaker>;

/**
 * Whether to ask a service that may be in trouble. After three failures in a row it is left alone for a pause; then
 * one question is let through, and its outcome decides. `opened` is told each time it comes to be left alone.
 */
export const createBreaker = (opened: (error: unknown) => void, now = () => performance.now()) => {
  let failures = 0;
  let failuresInAll = 0;
  let pause = pauseFirst;
  let askAgainAt = 0;
  let wellSince = Number.NEGATIVE_INFINITY;
  let probe: object | undefined;

  const isOpen = () => failures >= failuresAtMost && (probe !== undefined || now() < askAgainAt);

  const failed = (question: object, error: unknown) => {
    failuresInAll++;
    const isProbe = question === probe;
    // What was asked before it was left alone says nothing new.
    if (failures >= failuresAtMost && !isProbe) return;
    probe = undefined;
    failures++;
    if (failures < failuresAtMost) return;
    const isRelapse = isProbe || now() - wellSince < pauseAtMost;
    pause = isRelapse ? Math.min(pause * 2, pauseAtMost) : pauseFirst;
    askAgainAt = now() + pause;
    opened(error);
  };

  const succeeded = () => {
    if (failures >= failuresAtMost) wellSince = now();
    failures = 0;
    probe = undefined;
  };

  return {
    /** Whether a question would not be let through now. */
    isOpen,
    /** Whether it has answered since it was last left alone. */
    isWell: () => failures < failuresAtMost,
    /** Questions that were let through and not answered, since the start. */
    failures: () => failuresInAll,
    /** The answer, or undefined when there is none, or the service is left alone. */
    async ask<T>(question: () => Promise<T>): Promise<T | undefined> {
      if (isOpen()) return undefined;
      const self = {};
      if (failures >= failuresAtMost) probe = self;
      try {
        const answer = await question();
        succeeded();
        return answer;
      } catch (error) {
        failed(self, error);
        return undefined;
      }
    },
    /** It is known to be well again: questions are let through. */
    reset: succeeded,
  };
};
