import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { kafkaNode, startKafkaCluster } from './kafka.ts';
import { startPostgres } from './postgres.ts';
import { sentinelName, startRedis, startSentinel } from './redis.ts';
import { stopRunning } from './service.ts';
import { missingPackages } from './start.ts';

const brokerCount = 3;
const sentinelCount = 3;
const sentinelNode = (index: number) => `sentinel-${index + 1}`;
const numbered = (count: number, name: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => name(i));

/** The services of a cluster: their folders and titles. */
export const clusterTitles: Record<string, string> = {
  ...Object.fromEntries(numbered(brokerCount, kafkaNode).map((name) => [name, 'Apache Kafka'])),
  postgres: 'PostgreSQL',
  'postgres-standby': 'standby of it',
  redis: 'Redis',
  'redis-replica': 'replica of it',
  ...Object.fromEntries(numbered(sentinelCount, sentinelNode).map((name) => [name, 'Redis Sentinel'])),
};

/** Additions to each broker's server.properties. */
type Options = { dir: string; kafka?: Record<string, string> };

/** PostgreSQL with an asynchronous streaming standby. */
export const startPostgresPair = async (dir: string) => {
  // Keeps the WAL that a disconnected standby still needs.
  const more = { wal_keep_size: '256MB' };
  const primary = await startPostgres({ dir: join(dir, 'postgres'), more });
  const standbyOf = join(dir, 'postgres');
  const standby = await startPostgres({ dir: join(dir, 'postgres-standby'), standbyOf, more });
  return { primary, standby };
};

/** Redis with a replica and three Sentinels. */
export const startRedisGroup = async (dir: string) => {
  // No delay before a replica's first synchronization.
  const more = { 'repl-diskless-sync-delay': '0' };
  const primary = await startRedis({ dir: join(dir, 'redis'), more });
  const replicaof = `127.0.0.1 ${primary.port}`;
  const replica = await startRedis({ dir: join(dir, 'redis-replica'), more: { ...more, replicaof } });
  const sentinels = await Promise.all(
    numbered(sentinelCount, sentinelNode).map((name) =>
      startSentinel({ dir: join(dir, name), primary: primary.port }),
    ),
  );
  return { primary, replica, sentinels };
};

/**
 * Starts three Kafka brokers, PostgreSQL with an asynchronous streaming standby, and Redis with a replica and three Sentinels, each
 * with its data in a folder below `dir`. Those that already run there are reused. They keep running after this process. Rejects
 * with the names of missing packages; if one fails to start, all are stopped.
 */
export const startCluster = async ({ dir: place, kafka: more = {} }: Options) => {
  const packages = missingPackages(['kafka', 'postgres', 'redis']);
  if (packages.length > 0) {
    throw new Error(`missing on this machine; install with: apt-get install ${packages.join(' ')}`);
  }
  const dir = resolve(place);
  mkdirSync(dir, { recursive: true });
  const [brokers, database, cache] = await Promise.allSettled([
    startKafkaCluster({ dir, nodes: brokerCount, more }),
    startPostgresPair(dir),
    startRedisGroup(dir),
  ]);
  if (brokers.status === 'rejected' || database.status === 'rejected' || cache.status === 'rejected') {
    await Promise.all(Object.keys(clusterTitles).map((name) => stopRunning(join(dir, name))));
    const failed = [brokers, database, cache].find((result) => result.status === 'rejected');
    throw (failed as PromiseRejectedResult).reason;
  }
  const kafka = brokers.value;
  const postgres = database.value;
  const redis = cache.value;
  const services = [kafka, Object.values(postgres), [redis.primary, redis.replica], redis.sentinels].flat();
  const pids = Object.keys(clusterTitles).map((name, index) => [
    `${name.toUpperCase().replace('-', '_')}_PID`,
    String(services[index]?.pid),
  ]);
  return {
    kafka,
    postgres,
    redis,
    /** Environment variables for clients. */
    env: {
      KAFKA_BROKERS: kafka.map(({ brokers }) => brokers).join(','),
      DATABASE_URL: postgres.primary.url,
      DATABASE_READ_URL: postgres.standby.url,
      REDIS_URL: redis.primary.url,
      REDIS_SENTINEL_URL: `redis-sentinel://${redis.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${sentinelName}`,
      ...Object.fromEntries(pids),
    } as Record<string, string>,
  };
};
