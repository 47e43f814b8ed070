import { createDeadline } from '../async/deadline.ts';

/** Failures in a row that open the circuit. */
const failuresToOpen = 3;
/** The first cool-down; each further one is twice as long, until the service has stayed up for `longestCooldownMs`. */
const firstCooldownMs = 500;
const longestCooldownMs = 10_000;

const rejected = Promise.resolve(undefined);
const identity = (answer: unknown) => answer;

type Options = {
  /** A call that takes longer is a failure. */
  timeoutMs: number;
  /** Called each time the circuit opens, with the last failure. */
  onOpen: (error: unknown) => void;
  /** Called after each call that succeeded. */
  onSuccess?: () => void;
  now?: () => number;
};

/**
 * Calls a service that may be in trouble. Closed: calls go through. Open, after three failures in a row: calls are rejected
 * until the cool-down ends. Half-open after that: one call goes through, and its outcome closes or opens the circuit.
 */
export const createCircuitBreaker = ({
  timeoutMs,
  onOpen,
  onSuccess = () => {},
  now = () => performance.now(),
}: Options) => {
  const deadline = createDeadline(timeoutMs);
  let failures = 0;
  let totalFailures = 0;
  let cooldownMs = firstCooldownMs;
  let retryAt = 0;
  let closedSince = Number.NEGATIVE_INFINITY;
  /** The one call that is in flight while half-open. */
  let trial: symbol | undefined;

  const isClosed = () => failures < failuresToOpen;

  const fail = (call: symbol | undefined, error: unknown) => {
    totalFailures++;
    const isTrial = call !== undefined && call === trial;
    // A call from before the circuit opened says nothing new.
    if (!isClosed() && !isTrial) return;
    trial = undefined;
    failures++;
    if (isClosed()) return;
    const isRelapse = isTrial || now() - closedSince < longestCooldownMs;
    cooldownMs = isRelapse ? Math.min(cooldownMs * 2, longestCooldownMs) : firstCooldownMs;
    retryAt = now() + cooldownMs;
    onOpen(error);
  };

  const close = () => {
    if (!isClosed()) closedSince = now();
    failures = 0;
    trial = undefined;
  };

  /** Whether a call would be rejected now: also while half-open, when the one call is in flight. */
  const isOpen = () => !isClosed() && (trial !== undefined || now() < retryAt);

  return {
    isOpen,
    isClosed,
    /** Closes the circuit: the service is known to be up again. */
    close,
    /** Calls that went through and failed, since the start. */
    failures: () => totalFailures,
    /**
     * Resolves with what `read` makes of the answer; with undefined when the call fails, times out, or is rejected. Neither
     * `request` nor `read` may throw.
     */
    call<T, R = T>(request: () => Promise<T>, read = identity as (answer: T) => R): Promise<R | undefined> {
      if (isOpen()) return rejected;
      const self = isClosed() ? undefined : Symbol();
      if (self) trial = self;
      // A single promise, written out: every lookup in Redis passes here, and each further one costs it some percent.
      return new Promise((resolve) => {
        const giveUp = (error: unknown) => {
          fail(self, error);
          resolve(undefined);
        };
        const wait = deadline.begin(giveUp);
        request().then(
          (answer) => {
            if (!deadline.end(wait)) return;
            close();
            onSuccess();
            resolve(read(answer));
          },
          (error) => {
            if (deadline.end(wait)) giveUp(error);
          },
        );
      });
    },
  };
};
