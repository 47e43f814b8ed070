import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker } from 'kafka-broker';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { silent } from './database.ts';

/** The embedded services, each started when it is first asked for, with their data in a temporary directory. */
export const createEmbeddedServices = () => {
  const stops: (() => Promise<unknown>)[] = [];
  const once = <T>(start: () => Promise<T>) => {
    let started: Promise<T> | undefined;
    return () => (started ??= start());
  };
  const dataDir = once(async () => {
    const path = await mkdtemp(join(tmpdir(), 'order-lookup-'));
    stops.push(() => rm(path, { recursive: true, force: true }));
    return path;
  });
  return {
    /** host:port */
    brokers: once(async () => {
      // Many tests send messages of years ago: a check would delete those that were not read yet.
      const retentionCheckMs = 24 * 3_600_000;
      const broker = await startBroker({
        dataDir: join(await dataDir(), 'kafka'),
        port: 0,
        retentionCheckMs,
      });
      stops.push(broker.stop);
      return broker.brokers;
    }),
    databaseUrl: once(async () => {
      const server = await startPostgres({ dataDir: await dataDir(), log: silent });
      stops.push(server.stop);
      return server.url;
    }),
    async stop() {
      for (const stop of stops.splice(0).reverse()) await stop();
    },
  };
};
