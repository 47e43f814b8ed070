/**
 * The services that tests run on: the real ones where KAFKA_BROKERS and DATABASE_URL name them, and otherwise the embedded
 * ones, started once for all test files. Each test has a database and topics of its own. Tests of Redis hurt it, so they
 * start one for themselves.
 */
import { afterAll } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker } from 'kafka-broker';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { createDatabase, silent, uniqueName } from './database.ts';

export { until } from './until.ts';
export { silent };

const stops: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const once = <T>(make: () => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
};

const dataDir = once(async () => {
  const path = await mkdtemp(join(tmpdir(), 'order-lookup-'));
  stops.push(() => rm(path, { recursive: true, force: true }));
  return path;
});

/** host:port, or several. */
export const brokers = once(async () => {
  if (process.env.KAFKA_BROKERS) return process.env.KAFKA_BROKERS.split(',');
  const broker = await startBroker({ dataDir: join(await dataDir(), 'kafka'), port: 0 });
  stops.push(broker.stop);
  return [broker.brokers];
});

const serverUrl = once(async () => {
  if (process.env.DATABASE_URL) return process.env.DATABASE_URL;
  const server = await startPostgres({ dataDir: await dataDir(), log: silent });
  stops.push(server.stop);
  return server.url;
});

export const topicName = () => uniqueName('orders');

/** A database of its own, dropped when its scope ends; with the tables, unless it is to be empty. */
export const testDatabase = async (options?: Parameters<typeof createDatabase>[1]) =>
  createDatabase(await serverUrl(), options);
