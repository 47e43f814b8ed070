import { afterAll, beforeAll } from 'bun:test';
import { join } from 'node:path';
import { createRandom } from '../random.ts';
import { until } from '../until.ts';
import { openScenario, type Scenario, servicesIn } from './scenario.ts';

const limitMs = 120_000;

/**
 * Real services for the tests of a file, in a folder of this name. Nothing is lost, whatever fails: each test injects a fault under
 * a steady stream, with 1 % of the orders sent twice and 1 % of the messages bad, and then expects every order stored, complete and
 * as it was sent, every bad message in the dead-letter topic and nothing else there, and every offset committed. FAULTS_SEED
 * repeats the random choices of a run.
 */
export const useServices = (name: string) => {
  const directory = join(import.meta.dir, '../../../.services', name);
  const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 1_000_000));
  console.log(`FAULTS_SEED=${seed}`);
  beforeAll(() => servicesIn(directory), limitMs);
  afterAll(async () => {
    const services = Object.values(await servicesIn(directory));
    await Promise.all(services.map((service) => service.stop()));
  }, limitMs);
  return { seed, random: createRandom(seed), openScenario: () => openScenario(directory) };
};

/** Waits until `orders` more orders are stored; the stream continues. */
export const progress = async (scenario: Scenario, orders: number) => {
  const goal = (await scenario.stored()) + orders;
  await until(async () => (await scenario.stored()) >= goal, 60_000);
};
