import { problemResponse, retryHeaders } from './contract.ts';

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

  const waitMsOf = (full: number, time: number) => {
    const wait = full + intervalMs - time - minuteMs;
    return wait > roundingMs ? wait : 0;
  };

  return {
    perMinute,
    /** As `consume`, without consuming one. */
    wait: (client: string) => waitMsOf(fullAt.get(client) ?? 0, now()),
    /** Takes one request off the client's allowance, and returns 0; or how long the client has to wait for one, in ms. */
    consume(client: string): number {
      const time = now();
      if (time >= sweepAt) sweep(time);
      const before = fullAt.get(client);
      const full = before === undefined || before < time ? time : before;
      const wait = waitMsOf(full, time);
      if (wait > 0) return wait;
      if (before === undefined && fullAt.size >= maxClients) {
        const [oldest] = fullAt.keys();
        if (oldest !== undefined) fullAt.delete(oldest);
      }
      fullAt.set(client, full + intervalMs);
      return 0;
    },
    clients: () => fullAt.size,
  };
};

export type RateLimit = ReturnType<typeof createRateLimit>;

/** `seconds` to wait. */
export const tooManyRequests = (perMinute: number, seconds: number) => ({
  status: 429,
  title: 'Too many requests',
  detail: `One client may send ${perMinute} requests a minute. Please wait ${seconds} s.`,
});

export const tooManyRequestsResponse = problemResponse(
  'The client has sent too many requests (`RATE_LIMIT`)',
  tooManyRequests(6000, 1),
  retryHeaders,
);
