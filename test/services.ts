/**
 * The services that tests run on: the real ones where KAFKA_BROKERS, DATABASE_URL and REDIS_URL name them, and otherwise
 * the embedded ones, started once for all test files. Each test has a database and topics of its own.
 */
import { afterAll } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { openDatabase } from '../src/database.ts';
import { startBroker } from '../src/embedded/kafka/broker.ts';
import { startPostgres } from '../src/embedded/postgres.ts';
import { createLog } from '../src/log.ts';
import { migrate } from '../src/migrate.ts';

/** Of a Redis with nothing else in it; undefined where there is none. */
export const redisUrl = process.env.REDIS_URL || undefined;
if (!redisUrl) console.warn('No REDIS_URL: the tests of the Redis tier are left out.');

export const silent = createLog('silent', 'test');

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

const uniqueName = (prefix: string) => `${prefix}_${crypto.randomUUID().replaceAll('-', '')}`;

export const topicName = () => uniqueName('orders');

/** An empty database that is dropped when its scope ends; `migrated` unless it is asked for without tables. */
export const testDatabase = async ({ migrated = true, connections = 4 } = {}) => {
  const name = uniqueName('test');
  const server = postgres(await serverUrl(), { max: 1, onnotice() {} });
  await server.unsafe(`create database ${name}`);
  const url = Object.assign(new URL(await serverUrl()), { pathname: `/${name}` }).href;
  const sql = openDatabase({ url, connections, name: 'test' });
  if (migrated) await migrate(sql, silent);
  return {
    url,
    sql,
    async [Symbol.asyncDispose]() {
      await sql.end({ timeout: 1 });
      await server.unsafe(`drop database ${name} with (force)`);
      await server.end();
    },
  };
};

/** Resolves with the first truthy value of `probe`, which is asked again and again until `ms` have passed. */
export const until = async <T>(probe: () => T | Promise<T>, ms = 15_000): Promise<NonNullable<T>> => {
  for (const deadline = Date.now() + ms; ; await Bun.sleep(10)) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Not within ${ms} ms: ${probe}`);
  }
};
