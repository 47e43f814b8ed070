import { afterAll, beforeAll } from 'bun:test';
import { join } from 'node:path';
import { startCluster } from '../../../scripts/services/cluster.ts';
import { printReport } from './report.ts';
import { type Cluster, openScenario, type ScenarioOptions } from './scenario.ts';

const directory = join(import.meta.dir, '../../../.services/faults-cluster');
const limitMs = 120_000;

/**
 * A whole cluster for the tests of a file, and the seed of their random choices, which FAULTS_SEED repeats. The rows of their
 * scenarios are printed at the end.
 */
export const useCluster = () => {
  const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 1_000_000));
  console.log(`FAULTS_SEED=${seed}`);
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ dir: directory });
  }, limitMs);
  afterAll(async () => {
    printReport();
    await stopCluster(cluster);
  }, limitMs);
  return {
    seed,
    openScenario: (options: Omit<ScenarioOptions, 'cluster'>) => openScenario({ cluster, ...options }),
  };
};

/** The file with the first messages of a partition, on the disk of a broker. */
export const partitionLog = (broker: number, topic: string, partition: number) =>
  join(directory, `kafka-${broker}/data/${topic}-${partition}/00000000000000000000.log`);

const stopCluster = async ({ kafka, postgres, redis }: Cluster) => {
  const services = [kafka, Object.values(postgres), [redis.primary, redis.replica], redis.sentinels].flat();
  // The last broker would wait for the others to take its partitions.
  for (const broker of kafka) await broker.kill9();
  await Promise.all(services.map((service) => service.stop()));
};
