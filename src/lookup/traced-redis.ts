import type { Tracing } from '../observability/tracing/tracing.ts';
import type { RedisCache } from './redis-cache.ts';

/** A span for each order that is looked for in Redis or entered there, within the span that asks for it. */
export const traceRedis = (tracing: Tracing, redis: RedisCache): RedisCache => {
  const command = <T>(operation: 'HGET' | 'EVALSHA', ask: () => T) =>
    tracing.span(
      {
        name: operation,
        kind: 'client',
        attributes: { 'db.system.name': 'redis', 'db.operation.name': operation },
      },
      ask,
    );
  return {
    ...redis,
    get: (uid) => command('HGET', () => redis.get(uid)),
    put: (uid, document) => command('EVALSHA', () => redis.put(uid, document)),
  };
};
