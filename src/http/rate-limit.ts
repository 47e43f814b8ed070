const minute = 60_000;
/** Of so many clients the past is kept; one more, and the one that was first seen longest ago starts anew. */
const clientsAtMost = 100_000;
/** A million fractions added up may miss by so much, in ms. */
const rounding = 0.01;

/**
 * So many requests a minute for each client: all at once if it likes, and then as they grow back, one after another.
 * (The generic cell rate algorithm: of each client no more is kept than when it will have all of them again.)
 */
export const createRateLimit = (perMinute: number, now = () => performance.now()) => {
  const interval = minute / perMinute;
  /** When a client's allowance is full again, in ms. */
  const fullAt = new Map<string, number>();
  let sweepAt = now() + minute;

  /** Forgets whose allowance is full: as if they had never been seen. */
  const sweep = (time: number) => {
    for (const [client, full] of fullAt) if (full <= time) fullAt.delete(client);
    sweepAt = time + minute;
  };

  const waitUntil = (full: number, time: number) => {
    const wait = full + interval - time - minute;
    return wait > rounding ? wait : 0;
  };

  return {
    perMinute,
    /** How long the client has to wait for its next request, in ms; 0 if it has some of its allowance left. */
    wait: (client: string) => waitUntil(fullAt.get(client) ?? 0, now()),
    /** Takes one request of the client's allowance. Returns how long it has to wait if there is none, in ms; otherwise 0. */
    take(client: string): number {
      const time = now();
      if (time >= sweepAt) sweep(time);
      const before = fullAt.get(client);
      const full = before === undefined || before < time ? time : before;
      const wait = waitUntil(full, time);
      if (wait > 0) return wait;
      if (before === undefined && fullAt.size >= clientsAtMost) {
        const [oldest] = fullAt.keys();
        if (oldest !== undefined) fullAt.delete(oldest);
      }
      fullAt.set(client, full + interval);
      return 0;
    },
    clients: () => fullAt.size,
  };
};

export type RateLimit = ReturnType<typeof createRateLimit>;
