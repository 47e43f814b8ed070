import type { MetricObject } from 'prom-client';
import { createDeadline } from '../async/deadline.ts';
import { createDurations, toHistogram } from '../observability/metrics/durations.ts';
import { type EncodedOrder, encodeOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';
import type { Store } from '../postgres/store.ts';
import type { OrderCache } from './cache.ts';
import type { MemoryCache } from './memory-cache.ts';

export type Tier = 'memory' | 'redis' | 'postgres';

/** One tier on the way, in order. `duration` in ms; a tier that does not work is bypassed. */
export type Step = { tier: Tier; hit: boolean; duration: number; bypassed?: true };

/** What a lookup found: the order's document, or undefined when no order has this uid; and the way it took. */
export type Answer = { document: EncodedOrder | undefined; steps: readonly Step[] };

/** Whether there is such an order cannot be told now. `retryAfter` in seconds. */
export class Unavailable extends Error {
  readonly retryAfter = 2;
}

export type Lookup = {
  /** Answers at once, without a promise, from memory. Throws or rejects with `Unavailable`. */
  find(uid: OrderUid): Answer | Promise<Answer>;
  /** What a hit in this tier took the last time, in ms; undefined before the first. */
  lastHit(tier: Tier): number | undefined;
};

/** Lookups by what answered them, since the start. */
export type LookupCounts = Record<Tier | 'none' | 'unavailable', number>;

/** A query has so long before the caller is told that nothing can be told, in ms. */
const answerWithin = 1_500;
/** Queries that PostgreSQL has not answered yet; one more is refused at once, so that nothing queues without bound. */
const queriesAtMost = 500;

/** An absence is remembered so long, in ms, and so many of them. */
const absentFor = 1_000;
const absencesAtMost = 10_000;

type Options = {
  memory: MemoryCache;
  redis: (OrderCache & { isBypassed(): boolean }) | undefined;
  store: Pick<Store, 'find'>;
  failed?: ((error: unknown) => void) | undefined;
  worked?: (() => void) | undefined;
};

type Flight = { answer?: Promise<Answer>; isStale: boolean };

/**
 * Finds orders: memory, then Redis, then PostgreSQL, and what was found enters the tiers above. Requests for one order
 * that come together cost one query, and a uid that no order has is not asked again at once.
 */
export const createLookup = ({ memory, redis, store, failed, worked }: Options) => {
  const flights = new Map<OrderUid, Flight>();
  const absentUntil = new Map<OrderUid, number>();
  const lastHitMs: Partial<Record<Tier, number>> = {};
  const counts: LookupCounts = { memory: 0, redis: 0, postgres: 0, none: 0, unavailable: 0 };
  const durations = {
    memory: createDurations(),
    redis: createDurations(),
    postgres: createDurations(),
    none: createDurations(),
  };
  const deadline = createDeadline(answerWithin);
  let queries = 0;

  const took = (steps: Step[], tier: Tier, begun: number, hit: boolean) => {
    const duration = performance.now() - begun;
    if (hit) lastHitMs[tier] = duration;
    steps.push({ tier, hit, duration });
  };

  const count = (answer: Answer) => {
    let answered: Tier | 'none' = 'none';
    let milliseconds = 0;
    for (const { tier, hit, duration } of answer.steps) {
      milliseconds += duration;
      if (hit) answered = tier;
    }
    counts[answered]++;
    durations[answered].observe(milliseconds / 1000);
    return answer;
  };

  const countUnavailable = (error: unknown): never => {
    counts.unavailable++;
    throw error;
  };

  /** Waits for PostgreSQL, but not for ever; the query itself goes on, and counts until it has ended. */
  const query = (uid: OrderUid): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      if (queries >= queriesAtMost) throw new Unavailable('too many lookups wait for PostgreSQL');
      const fail = (cause: unknown) => {
        failed?.(cause);
        reject(new Unavailable('PostgreSQL does not answer', { cause }));
      };
      const wait = deadline.begin(fail);
      queries++;
      store.find(uid).then(
        (json) => {
          queries--;
          if (!deadline.end(wait)) return;
          worked?.();
          resolve(json);
        },
        (error) => {
          queries--;
          if (deadline.end(wait)) fail(error);
        },
      );
    });

  /** The way below memory, whose steps are added to `steps`; counted for the first who asks. */
  const fly = async (uid: OrderUid, steps: Step[], flight: Flight): Promise<Answer> => {
    try {
      if (redis?.isBypassed()) steps.push({ tier: 'redis', hit: false, duration: 0, bypassed: true });
      else if (redis) {
        const begun = performance.now();
        const document = await redis.get(uid);
        took(steps, 'redis', begun, document !== undefined);
        if (document) {
          memory.put(uid, document);
          return count({ document, steps });
        }
      }
      const begun = performance.now();
      const json = await query(uid);
      took(steps, 'postgres', begun, json !== undefined);
      if (json === undefined) {
        // An order that was stored while we asked may have been missed, and must be found by the next lookup.
        if (!flight.isStale) remember(uid);
        return count({ document: undefined, steps });
      }
      const document = encodeOrder(json);
      memory.put(uid, document);
      void redis?.put(uid, document);
      return count({ document, steps });
    } catch (error) {
      return countUnavailable(error);
    } finally {
      if (flights.get(uid) === flight) flights.delete(uid);
    }
  };

  const begin = (uid: OrderUid, steps: Step[]): Promise<Answer> => {
    const flight: Flight = { isStale: false };
    flights.set(uid, flight);
    flight.answer = fly(uid, steps, flight);
    return flight.answer;
  };

  const remember = (uid: OrderUid) => {
    const [oldest] = absentUntil.size >= absencesAtMost ? absentUntil.keys() : [];
    if (oldest !== undefined) absentUntil.delete(oldest);
    absentUntil.set(uid, performance.now() + absentFor);
  };

  const isKnownAbsent = (uid: OrderUid) => {
    const until = absentUntil.get(uid);
    if (until === undefined) return false;
    if (performance.now() < until) return true;
    absentUntil.delete(uid);
    return false;
  };

  return {
    find(uid: OrderUid): Answer | Promise<Answer> {
      const begun = performance.now();
      const document = memory.get(uid);
      const steps: Step[] = [];
      took(steps, 'memory', begun, document !== undefined);
      if (document || isKnownAbsent(uid)) return count({ document, steps });

      return flights.get(uid)?.answer?.then(count, countUnavailable) ?? begin(uid, steps);
    },
    lastHit: (tier: Tier) => lastHitMs[tier],
    /** Orders have been stored: that they were absent is forgotten. */
    onStored(uids: readonly OrderUid[]) {
      if (absentUntil.size === 0 && flights.size === 0) return;
      for (const uid of uids) {
        absentUntil.delete(uid);
        const flight = flights.get(uid);
        if (!flight) continue;
        // Its query may have begun too early to see the order: who asks from now on begins another.
        flight.isStale = true;
        flights.delete(uid);
      }
    },
    /** Queries that PostgreSQL has not answered yet. */
    queries: () => queries,
    counts: () => counts,
    /** How long lookups took, by the tier that answered. */
    durations: (): MetricObject =>
      toHistogram(
        'orders_lookup_duration_seconds',
        'Duration of lookups by the tier that answered; none: no such order',
        Object.entries(durations).map(([tier, taken]) => [{ tier }, taken] as const),
      ),
  } satisfies Lookup & Record<string, unknown>;
};
