import { join, resolve } from 'node:path';
import * as kafka from './kafka.ts';
import * as postgres from './postgres.ts';
import * as redis from './redis.ts';

type ServiceName = 'kafka' | 'postgres' | 'redis';

/** The Debian packages that are missing for these services. */
export const missingPackages = (which: readonly ServiceName[]): string[] => {
  const missing = { kafka: kafka.missing, postgres: postgres.missing, redis: redis.missing };
  return which.flatMap((name) => missing[name]());
};

type Started = {
  kafka: Awaited<ReturnType<typeof kafka.startKafka>>;
  postgres: Awaited<ReturnType<typeof postgres.startPostgres>>;
  redis: Awaited<ReturnType<typeof redis.startRedis>>;
};

/**
 * Starts these services on free ports of 127.0.0.1, each with its data in a folder of its name below `dir`. Those that already run
 * there are reused. They keep running after this process. Rejects with the names of missing packages; if one fails to start, the
 * others are stopped.
 */
export const startServices = async <N extends ServiceName>({
  dir,
  which,
}: {
  dir: string;
  which: readonly N[];
}): Promise<Pick<Started, N>> => {
  const packages = missingPackages(which);
  if (packages.length > 0) {
    throw new Error(`missing on this machine; install with: apt-get install ${packages.join(' ')}`);
  }
  const start = { kafka: kafka.startKafka, postgres: postgres.startPostgres, redis: redis.startRedis };
  const results = await Promise.allSettled(
    which.map((name) => start[name]({ dir: join(resolve(dir), name) })),
  );
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) {
    await Promise.all(
      results.map((result) => (result.status === 'fulfilled' ? result.value.stop() : undefined)),
    );
    throw failed.reason;
  }
  const services = results.map((result, i) => [which[i], (result as PromiseFulfilledResult<unknown>).value]);
  return Object.fromEntries(services) as Pick<Started, N>;
};
