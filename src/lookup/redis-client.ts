import { Cluster, Redis } from 'ioredis';
import { checkScript, insertScript, removeScript } from './redis-script.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

type RedisClient = (Redis | Cluster) & {
  /** `insertScript` as a command. Resolves with 1 when the order was inserted, 0 when it was there. */
  insertOrder(
    documents: string,
    queue: string,
    uid: string,
    document: Buffer,
    limit: number,
  ): Promise<number>;
  /** `checkScript` as a command. Resolves with how many orders there are. */
  checkOrders(documents: string, queue: string): Promise<number>;
  /** `removeScript` as a command. Resolves with how many of the orders were there. */
  removeOrders(documents: string, queue: string, ...uids: string[]): Promise<number>;
};

const connectTimeoutMs = 1_000;
/** A server that accepts connections but answers nothing is down after this; each command has a shorter timeout of its caller. */
const socketTimeoutMs = 2_000;
const slotsTimeoutMs = 1_000;
/** A failover moves slots without any notice. */
const slotsRefreshMs = 5_000;
/** The next Sentinel is asked after this. */
const sentinelTimeoutMs = 1_000;

const retryStrategy = (attempt: number) => Math.min(100 * 2 ** attempt, 2_000);

/**
 * A client of the server, the cluster, or the primary that the Sentinels name. Commands fail at once while it is not connected,
 * instead of queueing; it reconnects for ever.
 */
export const openRedis = (url: string): RedisClient => {
  const address = parseRedisUrl(url);
  if (!address) throw new Error('not the URL of a Redis');
  const { nodes, isCluster, sentinel, username, password, database } = address;
  const options = {
    connectTimeout: connectTimeoutMs,
    socketTimeout: socketTimeoutMs,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // CLIENT SETINFO would be one more right that the user needs.
    disableClientInfo: true,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(address.tls && { tls: {} }),
  };
  // Reads are sent in batches already: in a pipeline each would wait for another turn of the event loop.
  const common = {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    autoPipeliningIgnoredCommands: ['hmget'],
  };
  const client = isCluster
    ? new Cluster(nodes, {
        ...common,
        redisOptions: options,
        // A certificate is for a name: by default the client connects to the address that it was resolved to.
        ...(address.tls && { dnsLookup: (host, found) => found(null, host) }),
        clusterRetryStrategy: retryStrategy,
        slotsRefreshTimeout: slotsTimeoutMs,
        slotsRefreshInterval: slotsRefreshMs,
      })
    : new Redis({
        ...options,
        ...common,
        ...(sentinel ? sentinelOptions(sentinel, address) : nodes[0]),
        db: database,
        retryStrategy,
      });
  client.defineCommand('insertOrder', { numberOfKeys: 2, lua: insertScript });
  client.defineCommand('checkOrders', { numberOfKeys: 2, lua: checkScript });
  client.defineCommand('removeOrders', { numberOfKeys: 2, lua: removeScript });
  return client as RedisClient;
};

const sentinelOptions = (sentinel: NonNullable<RedisAddress['sentinel']>, { nodes, tls }: RedisAddress) => ({
  sentinels: nodes,
  name: sentinel.name,
  ...(sentinel.username !== undefined && { sentinelUsername: sentinel.username }),
  ...(sentinel.password !== undefined && { sentinelPassword: sentinel.password }),
  ...(tls && { sentinelTLS: {}, enableTLSForSentinelMode: true }),
  sentinelCommandTimeout: sentinelTimeoutMs,
  sentinelRetryStrategy: retryStrategy,
});
