import { Cluster, Redis } from 'ioredis';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

export type RedisClient = (Redis | Cluster) & {
  /** Resolves with 1 when the order has entered, 0 when it was in. */
  enterOrder(documents: string, queue: string, uid: string, document: Buffer, limit: number): Promise<number>;
};

/** A cluster has so long to tell which node has which slots, in ms. */
const slotsWithin = 1_000;

/**
 * A client that fails at once instead of queueing, and connects again for ever; where Sentinels are named, to the primary that
 * they name by then. A server that takes connections but
 * answers nothing counts as away after two seconds; how long one question may take is for who asks it. `enterScript`
 * becomes its command `enterOrder`.
 */
export const openRedis = (url: string, enterScript: string): RedisClient => {
  const address = parseRedisUrl(url);
  if (!address) throw new Error('not the URL of a Redis');
  const { nodes, isCluster, sentinel, username, password, database } = address;
  const options = {
    connectTimeout: 1_000,
    socketTimeout: 2_000,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // It would take one right more.
    disableClientInfo: true,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(address.tls && { tls: {} }),
  };
  const own = { lazyConnect: true, enableOfflineQueue: false, enableAutoPipelining: true };
  const retryStrategy = (attempt: number) => Math.min(100 * 2 ** attempt, 2_000);
  const client = isCluster
    ? new Cluster(nodes, {
        ...own,
        redisOptions: options,
        // By name, as a certificate is for one: by itself the client goes to the address that it has found.
        ...(address.tls && { dnsLookup: (host, found) => found(null, host) }),
        clusterRetryStrategy: retryStrategy,
        slotsRefreshTimeout: slotsWithin,
        // A failover moves slots without telling.
        slotsRefreshInterval: 5_000,
      })
    : new Redis({
        ...options,
        ...own,
        ...(sentinel ? toPrimary(sentinel, address) : nodes[0]),
        db: database,
        retryStrategy,
      });
  client.defineCommand('enterOrder', { numberOfKeys: 2, lua: enterScript });
  return client as RedisClient;
};

/** A Sentinel that does not answer in time is passed over for the next, in ms. */
const sentinelWithin = 1_000;

const toPrimary = (sentinel: NonNullable<RedisAddress['sentinel']>, { nodes, tls }: RedisAddress) => ({
  sentinels: nodes,
  name: sentinel.name,
  ...(sentinel.username !== undefined && { sentinelUsername: sentinel.username }),
  ...(sentinel.password !== undefined && { sentinelPassword: sentinel.password }),
  ...(tls && { sentinelTLS: {}, enableTLSForSentinelMode: true }),
  sentinelCommandTimeout: sentinelWithin,
  sentinelRetryStrategy: (attempt: number) => Math.min(100 * 2 ** attempt, 2_000),
});
