import type { Document } from './cache.ts';
import type { OrderUid } from './order.ts';

export type Tier = 'memory' | 'redis' | 'postgres';

/** One tier that was asked, in order. `duration` in ms. */
export type Step = { tier: Tier; hit: boolean; duration: number };

/** What a lookup found: the order's document, or undefined when no order has this uid; and the way it took. */
export type Answer = { document: Document | undefined; steps: readonly Step[] };

/** Whether there is such an order cannot be told now. `retryAfter` in seconds. */
export class Unavailable extends Error {
  readonly retryAfter = 2;
}

export type Lookup = {
  /** Answers at once, without a promise, from memory. Rejects with `Unavailable`. */
  find(uid: OrderUid): Answer | Promise<Answer>;
  /** What a hit in this tier took the last time, in ms; undefined before the first. */
  lastHit(tier: Tier): number | undefined;
};
