import { createDurations, type Durations } from '../observability/metrics/durations.ts';
import { type EncodedOrder, encodeOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';
import type { Store } from '../postgres/store.ts';
import type { OrderCache } from './cache.ts';
import type { MemoryCache } from './memory-cache.ts';
import { createNegativeCache } from './negative-cache.ts';
import { createOrderQuery, Unavailable } from './order-query.ts';
import type { RedisCache } from './redis-cache.ts';

export type Tier = 'memory' | 'redis' | 'postgres';

/** One step of a lookup: a tier that was queried, or bypassed because its circuit is open. */
export type Step = { tier: Tier; hit: boolean; durationMs: number; bypassed?: true };

/** The order, or undefined when no order has this uid; and the steps of the lookup, in order. */
export type Answer = { document: EncodedOrder | undefined; steps: readonly Step[] };

export type Lookup = {
  /** Answers without a promise from memory. Rejects with `Unavailable`. */
  find(uid: OrderUid): Answer | Promise<Answer>;
  /**
   * As `find` for each of these uids, which must differ, with one read of Redis and one query of PostgreSQL for all that need them.
   * `Unavailable` stands for an answer that is not known.
   */
  findAll(uids: readonly OrderUid[]): Promise<(Answer | Unavailable)[]>;
  /**
   * For each of these uids, which no order has, those that orders have and that differ by letter case only: two at most. In one query
   * of PostgreSQL, for people who typed a number. Rejects with `Unavailable`.
   */
  findOtherCases(uids: readonly OrderUid[]): Promise<OrderUid[][]>;
  /** How long the last hit in this tier took, in ms; undefined before the first. */
  lastHitMs(tier: Tier): number | undefined;
};

/** The tier that answered; `none`: no order has the uid. */
export type LookupOutcome = Tier | 'none';

/** Lookups by outcome, since the start. */
export type LookupCounts = Record<LookupOutcome | 'unavailable', number>;

type Redis = OrderCache & Pick<RedisCache, 'getAll' | 'isBypassed'>;

type Options = {
  memory: MemoryCache;
  redis: Redis | undefined;
  store: Pick<Store, 'find' | 'findAll' | 'findOtherCases'>;
  /** Changes when orders were erased: a load from before may hold one, and is not cached. */
  generation?: (() => number) | undefined;
  /** Called for each query of PostgreSQL that was answered in time, or failed. */
  onSuccess?: (() => void) | undefined;
  onFailure?: ((error: unknown) => void) | undefined;
};

/**
 * `isStale`: the order was stored while the load was in flight, so the load may have missed it. `generation`: when the load began.
 */
type Load = { answer?: Promise<Answer>; isStale: boolean; generation: number };

/** One uid of a load of many. `settle` is of its load's answer. */
type Part = { uid: OrderUid; steps: Step[]; load: Load; settle: PromiseWithResolvers<Answer> };

/**
 * Finds orders in memory, then in Redis, then in PostgreSQL, and fills the tiers above. Lookups of one uid share the load that is
 * in flight (single flight), and a uid that no order has is in the negative cache for a while.
 */
export const createLookup = ({ memory, redis, generation = () => 0, ...postgres }: Options) => {
  const query = createOrderQuery(postgres);
  const absent = createNegativeCache();
  const loads = new Map<OrderUid, Load>();
  const lastHits: Partial<Record<Tier, number>> = {};
  const counts: LookupCounts = { memory: 0, redis: 0, postgres: 0, none: 0, unavailable: 0 };
  const durations: Record<LookupOutcome, Durations> = {
    memory: createDurations(),
    redis: createDurations(),
    postgres: createDurations(),
    none: createDurations(),
  };

  const addStep = (steps: Step[], tier: Tier, startedAt: number, hit: boolean) => {
    const durationMs = performance.now() - startedAt;
    if (hit) lastHits[tier] = durationMs;
    steps.push({ tier, hit, durationMs });
  };

  const count = (answer: Answer) => {
    let outcome: LookupOutcome = 'none';
    let totalMs = 0;
    for (const { tier, hit, durationMs } of answer.steps) {
      totalMs += durationMs;
      if (hit) outcome = tier;
    }
    counts[outcome]++;
    durations[outcome].observe(totalMs / 1000);
    return answer;
  };

  const countUnavailable = (error: unknown): never => {
    counts.unavailable++;
    throw error;
  };

  /** Whether to read Redis; a bypass is a step, too. */
  const readsRedis = (steps: Step[]) => {
    if (!redis?.isBypassed()) return redis !== undefined;
    steps.push({ tier: 'redis', hit: false, durationMs: 0, bypassed: true });
    return false;
  };

  const isFromBefore = (load: Load) => load.generation !== generation();

  /** Fills the caches with PostgreSQL's answer. */
  const cache = (uid: OrderUid, json: string | undefined, load: Load): EncodedOrder | undefined => {
    if (json === undefined) {
      if (!load.isStale) absent.add(uid);
      return undefined;
    }
    const document = encodeOrder(json);
    if (isFromBefore(load)) return document;
    memory.put(uid, document);
    void redis?.put(uid, document);
    return document;
  };

  /** Counts the lookup that began the load; those that joined it count themselves. */
  const loadBelowMemory = async (uid: OrderUid, steps: Step[], load: Load): Promise<Answer> => {
    try {
      if (redis && readsRedis(steps)) {
        const startedAt = performance.now();
        const document = await redis.get(uid);
        addStep(steps, 'redis', startedAt, document !== undefined);
        if (document) {
          if (!isFromBefore(load)) memory.put(uid, document);
          return count({ document, steps });
        }
      }
      const startedAt = performance.now();
      const json = await query.find(uid);
      addStep(steps, 'postgres', startedAt, json !== undefined);
      return count({ document: cache(uid, json, load), steps });
    } catch (error) {
      return countUnavailable(error);
    } finally {
      if (loads.get(uid) === load) loads.delete(uid);
    }
  };

  const beginLoad = (uid: OrderUid, steps: Step[]): Promise<Answer> => {
    const load: Load = { isStale: false, generation: generation() };
    loads.set(uid, load);
    load.answer = loadBelowMemory(uid, steps, load);
    return load.answer;
  };

  const end = ({ uid, load, steps, settle }: Part, document: EncodedOrder | undefined) => {
    if (loads.get(uid) === load) loads.delete(uid);
    settle.resolve(count({ document, steps }));
  };

  /** Ends the parts that Redis has, and returns the others. */
  const readAllFromRedis = async (parts: readonly Part[]): Promise<readonly Part[]> => {
    if (!redis || !parts.map(({ steps }) => readsRedis(steps)).every(Boolean)) return parts;
    const startedAt = performance.now();
    const documents = await redis.getAll(parts.map(({ uid }) => uid));
    return parts.filter((part, index) => {
      const document = documents?.[index];
      addStep(part.steps, 'redis', startedAt, document !== undefined);
      if (!document) return true;
      if (!isFromBefore(part.load)) memory.put(part.uid, document);
      end(part, document);
      return false;
    });
  };

  /** Ends each part as soon as its answer is known, as other lookups may have joined it. */
  const loadAllBelowMemory = async (parts: readonly Part[]) => {
    let left = parts;
    try {
      left = await readAllFromRedis(parts);
      if (left.length === 0) return;
      const startedAt = performance.now();
      const found = await query.findAll(left.map(({ uid }) => uid));
      for (const part of left) {
        const json = found.get(part.uid);
        addStep(part.steps, 'postgres', startedAt, json !== undefined);
        end(part, cache(part.uid, json, part.load));
      }
    } catch (error) {
      for (const { uid, load, settle } of left) {
        if (loads.get(uid) === load) loads.delete(uid);
        counts.unavailable++;
        settle.reject(error);
      }
    }
  };

  /** In memory, known to be absent, or of a load that is in flight; otherwise undefined. */
  const findInProcess = (uid: OrderUid, steps: Step[]): Answer | Promise<Answer> | undefined => {
    const startedAt = performance.now();
    const document = memory.get(uid);
    addStep(steps, 'memory', startedAt, document !== undefined);
    if (document || absent.has(uid)) return count({ document, steps });
    const load = loads.get(uid);
    return load && !isFromBefore(load) ? load.answer?.then(count, countUnavailable) : undefined;
  };

  return {
    find(uid: OrderUid): Answer | Promise<Answer> {
      const steps: Step[] = [];
      return findInProcess(uid, steps) ?? beginLoad(uid, steps);
    },
    async findAll(uids: readonly OrderUid[]): Promise<(Answer | Unavailable)[]> {
      const parts: Part[] = [];
      const answers = uids.map((uid) => {
        const steps: Step[] = [];
        const known = findInProcess(uid, steps);
        if (known) return known;
        const settle = Promise.withResolvers<Answer>();
        const load: Load = { isStale: false, generation: generation(), answer: settle.promise };
        loads.set(uid, load);
        parts.push({ uid, steps, load, settle });
        return settle.promise;
      });
      if (parts.length > 0) void loadAllBelowMemory(parts);
      return Promise.all(answers.map(toValue));
    },
    findOtherCases: query.findOtherCases,
    lastHitMs: (tier: Tier) => lastHits[tier],
    /** What a hit in this tier took elsewhere, as `lastHitMs` until the first lookup has hit it. */
    seedHitDuration(tier: Tier, durationMs: number) {
      lastHits[tier] ??= durationMs;
    },
    /** Removes the uids from the negative cache; lookups from now on join no load that may have missed these orders. */
    onStored(uids: readonly OrderUid[]) {
      if (absent.size() === 0 && loads.size === 0) return;
      for (const uid of uids) {
        absent.delete(uid);
        const load = loads.get(uid);
        if (!load) continue;
        load.isStale = true;
        loads.delete(uid);
      }
    },
    queriesInFlight: query.inFlight,
    counts: () => counts,
    /** The durations of lookups, in plain numbers, by outcome. */
    durations: () => durations,
  } satisfies Lookup & Record<string, unknown>;
};

/** The answer, or why it is not known. */
const toValue = async (answer: Answer | Promise<Answer>): Promise<Answer | Unavailable> => {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Unavailable) return error;
    throw error;
  }
};
