import { type Static, Type } from '@sinclair/typebox';
import { waitAtMost } from '../async/retry.ts';
import type { ConsumerState } from '../ingest/thread.ts';
import { readOnly, reasonOf } from '../observability/error-reason.ts';
import type { Store } from '../postgres/store.ts';

const oneOf = <const Values extends readonly string[]>(...values: Values) =>
  Type.Unsafe<Values[number]>({ type: 'string', enum: values });

const Part = Type.Object({
  state: oneOf('works', 'degraded', 'away', 'off'),
  reason: Type.Optional(Type.String({ description: 'Why it is away or degraded' })),
});

/** Lookups are answered while it warms, only not as quickly. */
const CachePart = Type.Object({ state: oneOf('works', 'warming', 'off') });

export const HealthSchema = Type.Object({
  status: oneOf('ready', 'degraded', 'unready', 'stopping'),
  parts: Type.Object({
    postgres: Part,
    standby: Type.Optional(Part),
    redis: Part,
    kafka: Part,
    consumers: Part,
    offsets: Part,
    cache: CachePart,
  }),
});

export type PartState = Static<typeof Part>;

/**
 * `ready` while all works; `unready` while this process cannot do what it is there for: answer lookups, which takes
 * PostgreSQL, or, when it answers none, store orders, which takes Kafka as well; also while it has to store orders and finds
 * PostgreSQL read-only, as another process may find the primary; `degraded` when something else does not work, or does not
 * work as it should;
 * `stopping` when it still does all that, but not for long.
 */
export type Health = Static<typeof HealthSchema>;

const answerWithin = 1_000;

type Options = {
  store: Pick<Store, 'ping'>;
  /** Why the standby that lookups are answered from does not work; absent when there is none. */
  standby?: (() => string | undefined) | undefined;
  /** Why Redis does not work; absent when the program runs without it. */
  redis: (() => string | undefined) | undefined;
  /** Of each consumer of this process; absent when none runs here. */
  consumers: (() => readonly ConsumerState[]) | undefined;
  /** Whether the cache has been filled; absent when this process answers no lookups. */
  isWarm: (() => boolean) | undefined;
  /** Aborted when the process is asked to stop. */
  stopping?: AbortSignal;
};

/** Asks PostgreSQL, and takes the word of those who talk with Redis and Kafka all the time. */
export const createHealth = ({ store, standby, redis, consumers, isWarm, stopping }: Options) => {
  let asking: Promise<string | undefined> | undefined;
  /** One question at a time, however many want to know: they must not queue up in front of a frozen PostgreSQL. */
  const ask = async () => {
    asking ??= store
      .ping()
      .then(() => undefined, reasonOf)
      .finally(() => {
        asking = undefined;
      });
    return reasonWithin(asking);
  };

  return async (): Promise<Health> => {
    const postgres = partOf(await ask());
    const redisPart = redis ? partOf(redis()) : off;
    const kafka = consumers ? kafkaPart(consumers()) : off;
    const threads = consumers ? partOf(threadsReason(consumers())) : off;
    const offsets = consumers ? offsetsPart(consumers()) : off;
    const standbyPart = standby && partOf(standby());
    const isAway = (part: PartState) => part.state === 'away';
    // A standby that works still answers lookups, though not of the newest orders.
    const needed = isWarm
      ? standbyPart && !isAway(standbyPart)
        ? []
        : [postgres]
      : [postgres, kafka, threads];
    const parts = [postgres, standbyPart ?? off, redisPart, kafka, threads];
    const isDegraded = [kafka, offsets].some(({ state }) => state === 'degraded') || parts.some(isAway);
    const cannotStore = consumers?.().some(({ postgres }) => postgres?.startsWith(readOnly)) ?? false;
    const works = needed.some(isAway) || cannotStore ? 'unready' : isDegraded ? 'degraded' : 'ready';
    const status = stopping?.aborted ? 'stopping' : works;
    const cache = { state: isWarm ? (isWarm() ? 'works' : 'warming') : 'off' } as const;
    const shown = { postgres, ...(standbyPart && { standby: standbyPart }) };
    return { status, parts: { ...shown, redis: redisPart, kafka, consumers: threads, offsets, cache } };
  };
};

const off: PartState = { state: 'off' };

const partOf = (reason: string | undefined): PartState =>
  reason === undefined ? { state: 'works' } : { state: 'away', reason };

/** As the first consumer sees it for which Kafka is away, or else does not work as it should. */
const kafkaPart = (consumers: readonly ConsumerState[]): PartState => {
  if (consumers.length === 0) return { state: 'away', reason: 'not reached yet' };
  const away = consumers.find(({ kafka }) => kafka !== undefined);
  if (away) return partOf(away.kafka);
  const degraded = consumers.find(({ kafkaDegraded }) => kafkaDegraded !== undefined);
  return degraded?.kafkaDegraded === undefined
    ? { state: 'works' }
    : { state: 'degraded', reason: degraded.kafkaDegraded };
};

/** Of the first consumer that has something to say of where it reads. */
const offsetsPart = (consumers: readonly ConsumerState[]): PartState => {
  const reason = consumers.find(({ offsets }) => offsets !== undefined)?.offsets;
  return reason === undefined ? { state: 'works' } : { state: 'degraded', reason };
};

/** Of the first consumer that does not run, or cannot store. */
const threadsReason = (consumers: readonly ConsumerState[]) => {
  if (consumers.length === 0) return 'not started yet';
  for (const { name, thread, postgres } of consumers) {
    if (thread !== undefined) return `${name}: ${thread}`;
    if (postgres !== undefined) return `${name} waits for PostgreSQL: ${postgres}`;
  }
  return undefined;
};

const reasonWithin = async (asking: Promise<string | undefined>): Promise<string | undefined> => {
  let reason: string | undefined = `no answer within ${answerWithin} ms`;
  const answer = asking.then((given) => {
    reason = given;
  });
  await waitAtMost(answerWithin, answer);
  return reason;
};
