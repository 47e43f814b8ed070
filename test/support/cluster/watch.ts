import postgres from 'postgres';
import type { Replica } from '../replica.ts';

const everyMs = 100;
const askedEveryMs = 500;
const answerWithinMs = 2_000;

type Health = { status: string; parts: Record<string, { state: string; reason?: string }> };

const reasonsIn = ({ parts }: Health) =>
  Object.entries(parts).flatMap(([name, { reason }]) => (reason === undefined ? [] : [`${name}: ${reason}`]));

/** Records the number of stored orders, and the /readyz of the replicas. */
export const startWatch = (databaseUrl: string, replicas: readonly Replica[]) => {
  const over = new AbortController();
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: 2, onnotice() {} });
  /** When something was newly stored, in ms; the time that this process itself was late is not the program's. */
  let lastChange = 0;
  let late = 0;
  let longest = { ms: 0, late: 0 };
  const seconds = new Map<string, number>();
  const reasons = new Set<string>();

  const newest = async () => {
    const answer = sql<{ id: number }[]>`select coalesce(max(id), 0)::int as id from orders`;
    // Behind a server that is frozen or gone nothing is stored either.
    const [row] = await Promise.race([answer.catch(() => []), Bun.sleep(answerWithinMs).then(() => [])]);
    return row?.id;
  };
  const watchStored = async () => {
    let before: number | undefined;
    let due = Date.now();
    while (!over.signal.aborted) {
      const id = await newest();
      const now = Date.now();
      // A database that was set back begins again from below.
      if (id !== undefined && id !== before && id > 0) {
        if (before !== undefined && lastChange > 0 && now - lastChange > longest.ms)
          longest = { ms: now - lastChange, late };
        before = id;
        lastChange = now;
        late = 0;
      }
      await Bun.sleep(everyMs);
      due = now + everyMs;
      late += Math.max(0, Date.now() - due);
    }
  };
  const watchHealth = async () => {
    while (!over.signal.aborted) {
      const running = replicas.filter((replica) => replica.running());
      await Promise.all(
        running.map(async ({ url }) => {
          const health = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(answerWithinMs) })
            .then((response) => response.json() as Promise<Health>)
            .catch(() => undefined);
          const status = health?.status ?? 'no answer';
          seconds.set(status, (seconds.get(status) ?? 0) + askedEveryMs / 1000 / running.length);
          for (const reason of health ? reasonsIn(health) : []) reasons.add(reason);
        }),
      );
      await Bun.sleep(askedEveryMs);
    }
  };
  const watching = Promise.all([watchStored(), watchHealth()]);

  return {
    /** Forgets what was recorded so far. */
    reset() {
      longest = { ms: 0, late: 0 };
      lastChange = Date.now();
      late = 0;
      seconds.clear();
      reasons.clear();
    },
    /** The longest time in which nothing was stored, in ms, and how late this process was meanwhile. */
    longest: () => longest,
    /** Seconds in each state. */
    seconds: () => Object.fromEntries(seconds),
    reasons: () => [...reasons],
    async stop() {
      over.abort();
      await watching;
      await sql.end({ timeout: 0 });
    },
  };
};
