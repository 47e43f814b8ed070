import { type Static, Type } from '@sinclair/typebox';
import { withTimeout } from '../async/timeouts.ts';
import type { ConsumerState } from '../ingest/thread.ts';
import { reasonOf } from '../observability/error-reason.ts';
import type { Store } from '../postgres/store.ts';

const oneOf = <const Values extends readonly string[]>(...values: Values) =>
  Type.Unsafe<Values[number]>({ type: 'string', enum: values });

const Part = Type.Object({
  state: oneOf('works', 'degraded', 'away', 'off'),
  reason: Type.Optional(Type.String({ description: 'Why it is away or degraded' })),
});

/** Lookups are answered while it is warming, only more slowly. */
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
 * `unready`: this process cannot do its work. To answer lookups it needs PostgreSQL, or the standby. If it answers none, it needs
 * PostgreSQL and Kafka to store orders. A process that stores orders is also unready while its PostgreSQL is read-only, as another
 * process may be connected to the primary. `degraded`: another part is away or degraded. `stopping`: as before, but the process
 * ends soon.
 */
export type Health = Static<typeof HealthSchema>;

const pingTimeoutMs = 1_000;

type Options = {
  store: Pick<Store, 'ping'>;
  /** Why the standby is down; absent when lookups use none. */
  standby?: (() => string | undefined) | undefined;
  /** Why Redis is down; absent when the program runs without it. */
  redis: (() => string | undefined) | undefined;
  /** The states of the consumer threads; absent when this process consumes nothing. */
  consumers: (() => readonly ConsumerState[]) | undefined;
  /** Whether the cache has been warmed; absent when this process answers no lookups. */
  isWarm: (() => boolean) | undefined;
  /** Aborted when the process begins to stop. */
  stopping?: AbortSignal;
};

/** Pings PostgreSQL; the other parts report the state of connections that are in use all the time. */
export const createHealth = ({ store, standby, redis, consumers, isWarm, stopping }: Options) => {
  const pingPostgres = createPing(store);

  return async (): Promise<Health> => {
    const states = consumers?.();
    const postgres = partOf(await pingPostgres());
    const standbyPart = standby && partOf(standby());
    const parts = {
      postgres,
      ...(standbyPart && { standby: standbyPart }),
      redis: redis ? partOf(redis()) : off,
      kafka: states ? kafkaPart(states) : off,
      consumers: states ? partOf(consumersReason(states)) : off,
      offsets: states ? offsetsPart(states) : off,
    };
    const lookupsNeed = standbyPart && !isAway(standbyPart) ? [] : [postgres];
    const needed = isWarm ? lookupsNeed : [postgres, parts.kafka, parts.consumers];
    const isReadOnly = states?.some((consumer) => consumer.isReadOnly) ?? false;
    const isDegraded = Object.values(parts).some((part) => isAway(part) || part.state === 'degraded');
    const status = needed.some(isAway) || isReadOnly ? 'unready' : isDegraded ? 'degraded' : 'ready';
    const cache = { state: isWarm ? (isWarm() ? 'works' : 'warming') : 'off' } as const;
    return { status: stopping?.aborted ? 'stopping' : status, parts: { ...parts, cache } };
  };
};

const off: PartState = { state: 'off' };

const isAway = ({ state }: PartState) => state === 'away';

const partOf = (reason: string | undefined): PartState =>
  reason === undefined ? { state: 'works' } : { state: 'away', reason };

const degradedPart = (reason: string | undefined): PartState =>
  reason === undefined ? { state: 'works' } : { state: 'degraded', reason };

/** The state of the first consumer whose Kafka is away, or else degraded. */
const kafkaPart = (consumers: readonly ConsumerState[]): PartState => {
  if (consumers.length === 0) return { state: 'away', reason: 'not reached yet' };
  const away = consumers.find(({ kafka }) => kafka !== undefined);
  if (away) return partOf(away.kafka);
  return degradedPart(consumers.find(({ kafkaDegraded }) => kafkaDegraded !== undefined)?.kafkaDegraded);
};

/** The state of the first consumer whose offsets are degraded. */
const offsetsPart = (consumers: readonly ConsumerState[]): PartState =>
  degradedPart(consumers.find(({ offsets }) => offsets !== undefined)?.offsets);

/** Why the first consumer does not work: its thread has ended, or it cannot store orders. */
const consumersReason = (consumers: readonly ConsumerState[]) => {
  if (consumers.length === 0) return 'not started yet';
  for (const { name, thread, postgres } of consumers) {
    if (thread !== undefined) return `${name}: ${thread}`;
    if (postgres !== undefined) return `${name} waits for PostgreSQL: ${postgres}`;
  }
  return undefined;
};

/** Resolves with why PostgreSQL is down, or undefined. Concurrent calls share one ping, so that none queue up in a frozen PostgreSQL. */
const createPing = (store: Pick<Store, 'ping'>) => {
  let ping: Promise<string | undefined> | undefined;
  return async (): Promise<string | undefined> => {
    ping ??= store
      .ping()
      .then(() => undefined, reasonOf)
      .finally(() => {
        ping = undefined;
      });
    return withTimeout(pingTimeoutMs, ping).catch((error: Error) => error.message);
  };
};
