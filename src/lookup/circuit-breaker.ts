import { createDeadline } from '../async/deadline.ts';

/** Failures in a row after which a service is left alone. */
const failuresAtMost = 3;
/** For how long, in ms: the first time, and at most; it doubles each time while the service does not stay well. */
const pauseFirst = 500;
const pauseAtMost = 10_000;

const unanswered = Promise.resolve(undefined);
const itself = (answer: unknown) => answer;

export type Breaker = ReturnType<typeof createBreaker>;

type Options = {
  /** An answer that takes longer is a failure, in ms. */
  within: number;
  /** Told each time the service comes to be left alone, with the last failure. */
  opened: (error: unknown) => void;
  /** Told of each answer. */
  answered?: () => void;
  now?: () => number;
};

/**
 * Asks a service that may be in trouble. After three failures in a row it is left alone for a pause; then
 * one question is let through, and its outcome decides.
 */
export const createBreaker = ({
  within,
  opened,
  answered = () => {},
  now = () => performance.now(),
}: Options) => {
  const deadline = createDeadline(within);
  let failures = 0;
  let failuresInAll = 0;
  let pause = pauseFirst;
  let askAgainAt = 0;
  let wellSince = Number.NEGATIVE_INFINITY;
  let probe: symbol | undefined;

  const isOpen = () => failures >= failuresAtMost && (probe !== undefined || now() < askAgainAt);

  const failed = (question: symbol | undefined, error: unknown) => {
    failuresInAll++;
    const isProbe = question !== undefined && question === probe;
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
    /**
     * What `read` makes of the answer, or undefined when none comes in time, or the service is left alone. Neither `question`
     * nor `read` throws.
     */
    ask<T, R = T>(question: () => Promise<T>, read = itself as (answer: T) => R): Promise<R | undefined> {
      if (isOpen()) return unanswered;
      const self = failures >= failuresAtMost ? Symbol() : undefined;
      if (self) probe = self;
      // By hand, and in one promise, as every lookup in Redis passes here: each more costs it some percent.
      return new Promise((resolve) => {
        const fail = (error: unknown) => {
          failed(self, error);
          resolve(undefined);
        };
        const wait = deadline.begin(fail);
        question().then(
          (answer) => {
            if (!deadline.end(wait)) return;
            succeeded();
            answered();
            resolve(read(answer));
          },
          (error) => {
            if (deadline.end(wait)) fail(error);
          },
        );
      });
    },
    /** It is known to be well again: questions are let through. */
    reset: succeeded,
  };
};
