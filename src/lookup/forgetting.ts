import { sleep } from '../async/retry.ts';
import { waitAtMost } from '../async/timeouts.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';
import type { OrderUid } from '../order/order.ts';
import type { Store } from '../postgres/store.ts';
import type { StandbyReads } from './standby.ts';

/** Two rounds in a second: an erasure reaches every process within one. */
const pollIntervalMs = 400;
/** For this long after an erasure every round sweeps: another process may have put an order back just before its own round. */
const settleMs = 3_000;
/** At the latest after this a round sweeps in any case, for orders that were deleted by hand or came back with an old Redis. */
const sweepIntervalMs = 10_000;
/** A round waits no longer for places that processes share. */
const maxSharedWaitMs = 200;
/** Orders in one query. */
const batchSize = 1_000;

/** Where this process, or all of them together, keep orders. */
export type Place = {
  name: string;
  /** Whether other processes and lookups read it, as they do Redis. */
  isShared?: boolean;
  /** Undefined while it is down. */
  uids(): readonly OrderUid[] | Promise<readonly OrderUid[] | undefined>;
  remove(uids: readonly OrderUid[]): void | Promise<void>;
};

type Options = {
  store: Pick<Store, 'latestErasure' | 'findMissing'>;
  places: readonly Place[];
  standby?: Pick<StandbyReads, 'onErasure'> | undefined;
  /** Called when orders were erased, before they are removed: what is in flight may still hold them. */
  onErasure: () => void;
  /** Called for each round in which PostgreSQL did not answer. */
  onFailure?: (error: unknown) => void;
  log: Log;
  now?: () => number;
};

/**
 * Removes orders that PostgreSQL no longer has from the places. It polls for the number of the last erasure, as a notification would
 * neither pass a connection pooler nor wait for a process that is not connected.
 */
export const createForgetting = ({
  store,
  places,
  standby,
  onErasure,
  onFailure = () => {},
  log,
  now = () => performance.now(),
}: Options) => {
  const states = places.map((place) => ({
    place,
    sweptAt: Number.NEGATIVE_INFINITY,
    /** Sweeps that were asked for, and the last of them that was done: a sweep from before an erasure does not count for it. */
    requested: 1,
    done: 0,
    /** The sweep that the last erasure asked for; the first is asked for at the start, as Redis may hold what was erased before. */
    erasure: 1,
    isFailing: false,
    removed: 0,
  }));
  type State = (typeof states)[number];
  const own = states.filter(({ place }) => !place.isShared);
  const shared = states.filter(({ place }) => place.isShared);
  let seen = 0n;
  let settledAt = Number.NEGATIVE_INFINITY;
  let polledAt: number | undefined;

  /** Resolves with how many orders were removed. Rejects when PostgreSQL does not answer; when the place does not, it stays behind. */
  const sweep = async (state: State): Promise<number> => {
    const { place } = state;
    if (state.done === state.requested) state.requested++;
    const { requested } = state;
    const attempt = async <T>(command: () => T | Promise<T>): Promise<T | undefined> => {
      try {
        const answer = await command();
        state.isFailing = false;
        return answer;
      } catch (error) {
        if (!state.isFailing)
          log.warn(
            { place: place.name, reason: errorText(error) },
            'erased orders cannot be removed; trying again',
          );
        state.isFailing = true;
      }
    };
    const uids = await attempt(place.uids);
    if (uids === undefined) return 0;
    let removed = 0;
    for (let at = 0; at < uids.length && !state.isFailing; at += batchSize) {
      const missing = await store.findMissing(uids.slice(at, at + batchSize));
      if (missing.length === 0) continue;
      await attempt(() => place.remove(missing));
      if (!state.isFailing) removed += missing.length;
    }
    if (!state.isFailing) state.done = Math.max(state.done, requested);
    state.removed += removed;
    return removed;
  };

  /** Sweeps the places whose turn it is. Resolves with whether orders were removed. */
  const sweepDue = async (due: readonly State[]): Promise<boolean> => {
    const removed = await Promise.all(
      due.map(async (state) => {
        const isBehind = state.done !== state.requested;
        if (now() >= settledAt && !isBehind && now() < state.sweptAt + sweepIntervalMs) return 0;
        state.sweptAt = now();
        return sweep(state);
      }),
    );
    return removed.some((count) => count > 0);
  };

  const sweepOwn = async () => {
    const latest = await store.latestErasure();
    if (latest !== seen) {
      standby?.onErasure(latest);
      onErasure();
      seen = latest;
      settledAt = now() + settleMs;
      for (const state of states) state.erasure = ++state.requested;
    }
    await sweepDue(own);
  };

  const sweepShared = async () => {
    if (!(await sweepDue(shared))) return;
    // A lookup that read from there until now may hold an order that was removed.
    onErasure();
    for (const state of own) state.requested++;
    await sweepDue(own);
  };

  let sweepingShared: Promise<void> | undefined;
  /**
   * Rejects when PostgreSQL does not answer; the next round does what is left. A place that processes share may answer slowly, as Redis
   * does at times: after `sharedWaitMs` the round goes on without it, as memory has to be swept meanwhile.
   */
  const round = async (sharedWaitMs?: number) => {
    await sweepOwn();
    sweepingShared ??= sweepShared()
      .catch(onFailure)
      .finally(() => {
        sweepingShared = undefined;
      });
    await (sharedWaitMs === undefined ? sweepingShared : waitAtMost(sharedWaitMs, sweepingShared));
    if (!states.some((state) => state.isFailing)) polledAt = performance.now();
  };

  return {
    round,
    /** Rounds until `signal` is aborted. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await round(maxSharedWaitMs).catch(onFailure);
        await sleep(pollIntervalMs, signal);
      }
    },
    /** Whether this place may still hold an order that was erased: lookups do not read it then. */
    isStale: (name: string) =>
      states.some(({ place, done, erasure }) => place.name === name && done < erasure),
    /** Orders removed since the start, by place. */
    removed: () => states.map(({ place, removed }) => [place.name, removed] as const),
    /** How long ago a round last reached every place that is up, in s; 0 before the first. */
    behindSeconds: () => (polledAt === undefined ? 0 : (performance.now() - polledAt) / 1000),
  };
};

export type Forgetting = ReturnType<typeof createForgetting>;
