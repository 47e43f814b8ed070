/**
 * The Kafka and PostgreSQL that tests run on: the real ones where KAFKA_BROKERS and DATABASE_URL name them, those that
 * `test/run.ts` has started for all files, or embedded ones that start when a test first asks for them. Each test has a
 * database and topics of its own. Tests of Redis break it, so they start their own.
 */
import { afterAll } from 'bun:test';
import { createDatabase, silent, uniqueName } from './database.ts';
import { createEmbeddedServices } from './embedded-services.ts';

export { until } from './until.ts';
export { silent };

const { KAFKA_BROKERS, DATABASE_URL, TEST_BROKERS, TEST_DATABASE_URL } = process.env;

let embedded = createEmbeddedServices();
afterAll(async () => {
  const used = embedded;
  // With `bun test --parallel` this runs after each file.
  embedded = createEmbeddedServices();
  await used.stop();
});

/** host:port, or several. */
export const brokers = async () => (KAFKA_BROKERS ?? TEST_BROKERS)?.split(',') ?? [await embedded.brokers()];

export const topicName = () => uniqueName('orders');

/** A database of its own, dropped when its scope ends; with the tables, unless it is to be empty. */
export const testDatabase = async (options?: Parameters<typeof createDatabase>[1]) =>
  createDatabase(DATABASE_URL ?? TEST_DATABASE_URL ?? (await embedded.databaseUrl()), options);
