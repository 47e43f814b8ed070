import type { Tracing } from '../observability/tracing/tracing.ts';
import type { RedisCache } from './redis-cache.ts';

/** A span for each read and each insert of orders, as a child of the caller's span. */
export const traceRedis = (tracing: Tracing, redis: RedisCache): RedisCache => {
  const command = <T>(operation: 'HMGET' | 'EVALSHA', send: () => T) =>
    tracing.span(
      {
        name: operation,
        kind: 'client',
        attributes: { 'db.system.name': 'redis', 'db.operation.name': operation },
      },
      send,
    );
  return {
    ...redis,
    get: (uid) => command('HMGET', () => redis.get(uid)),
    getAll: (uids) => command('HMGET', () => redis.getAll(uids)),
    put: (uid, document) => command('EVALSHA', () => redis.put(uid, document)),
  };
};
