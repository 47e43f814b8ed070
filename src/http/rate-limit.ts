import { requestClient } from './client.ts';
import { problemResponse, retryHeaders } from './contract.ts';
import { toProblem } from './problem.ts';

const minuteMs = 60_000;
/** Beyond it, the client that was seen first is forgotten, and starts with a full allowance. */
const maxClients = 100_000;
/** The error that a million additions of fractions may sum up to. */
const roundingMs = 0.01;

/**
 * Allows each client a number of requests a minute: in one burst at most, and then one by one as the allowance refills. The generic
 * cell rate algorithm: each client costs one number, the time when its allowance will be full.
 */
export const createRateLimit = (perMinute: number, now = () => performance.now()) => {
  const intervalMs = minuteMs / perMinute;
  /** When a client's allowance is full again, in ms. */
  const fullAt = new Map<string, number>();
  let sweepAt = now() + minuteMs;

  /** Forgets the clients whose allowance is full: they are as new. */
  const sweep = (time: number) => {
    for (const [client, full] of fullAt) if (full <= time) fullAt.delete(client);
    sweepAt = time + minuteMs;
  };

  const waitMsOf = (full: number, time: number, takenMs: number) => {
    const wait = full + takenMs - time - minuteMs;
    return wait > roundingMs ? wait : 0;
  };

  return {
    perMinute,
    /** As `consume`, without consuming one. */
    wait: (client: string) => waitMsOf(fullAt.get(client) ?? 0, now(), intervalMs),
    /**
     * Takes requests off the client's allowance, and returns 0; or how long the client has to wait for them, in ms. More than the
     * whole allowance counts as all of it.
     */
    consume(client: string, count = 1): number {
      const time = now();
      if (time >= sweepAt) sweep(time);
      const before = fullAt.get(client);
      const full = before === undefined || before < time ? time : before;
      const takenMs = Math.min(count, perMinute) * intervalMs;
      const wait = waitMsOf(full, time, takenMs);
      if (wait > 0) return wait;
      if (before === undefined && fullAt.size >= maxClients) {
        const [oldest] = fullAt.keys();
        if (oldest !== undefined) fullAt.delete(oldest);
      }
      fullAt.set(client, full + takenMs);
      return 0;
    },
    clients: () => fullAt.size,
  };
};

export type RateLimit = ReturnType<typeof createRateLimit>;

/** Charges a request, which was charged as one before, as `requests`. Returns a problem when the client has too few left. */
export type Charge = (request: Request, requests: number) => Response | undefined;

export const createCharge =
  (rateLimit: RateLimit | undefined, toPage?: ToPage): Charge =>
  (request, requests) => {
    if (!rateLimit || requests <= 1) return undefined;
    const waitMs = rateLimit.consume(requestClient(request), requests - 1);
    return waitMs === 0 ? undefined : refuse(request, rateLimit, waitMs, toPage);
  };

/** The page for a person who has to wait; undefined where the request is not for a page. */
export type ToPage = (request: Request, seconds: number) => Response | undefined;

/** The answer to a client that has to wait. */
export const refuse = (
  request: Request,
  { perMinute }: RateLimit,
  waitMs: number,
  toPage?: ToPage,
): Response => {
  const seconds = Math.ceil(waitMs / 1000);
  const page = toPage?.(request, seconds);
  if (page) return page;
  return toProblem(request, tooManyRequests(perMinute, seconds), { 'retry-after': String(seconds) });
};

/** `seconds` to wait. */
const tooManyRequests = (perMinute: number, seconds: number) => ({
  status: 429,
  title: 'Too many requests',
  detail: `One client may send ${perMinute} requests a minute. Please wait ${seconds} s.`,
});

export const tooManyRequestsResponse = problemResponse(
  'The client has sent too many requests (`RATE_LIMIT`)',
  tooManyRequests(6000, 1),
  retryHeaders,
);
