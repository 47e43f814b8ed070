import { join } from 'node:path';
import type { Config } from '../config/settings.ts';
import { kafkaName } from '../config/values.ts';
import type { Log } from '../observability/log.ts';
import { readFileStart, writePrivateFile } from './private-files.ts';

const sharedGroup = 'order-consumers';
const fileName = 'consumer-group';

type GroupSettings = Pick<Config, 'groupId' | 'brokers' | 'databaseUrl' | 'dataDir'>;

/**
 * Members of a group share its messages, and its offsets are stored in one database. So where either Kafka or PostgreSQL is embedded,
 * the other one belongs to other programs too, and a group that they use as well would split the orders among their databases.
 */
const needsOwnGroup = ({ groupId, brokers, databaseUrl }: GroupSettings) =>
  groupId === null && (brokers === null) !== (databaseUrl === null);

/** The group of the data directory, if it has one. Throws an Error of one line if its file is damaged or a link. */
const readOwnGroup = (dataDir: string): string | undefined => {
  const file = join(dataDir, fileName);
  const text = readFileStart(file, 1_000)?.trim();
  if (text === undefined) return undefined;
  const group = kafkaName.read(text);
  if (group === undefined)
    throw new Error(`${file} does not hold the name of a consumer group. Remove it, or set KAFKA_GROUP_ID.`);
  return group;
};

/**
 * The consumer group of a command: the one that `bun start` uses with the same settings. Throws an Error of one line if the file
 * in the data directory is damaged.
 */
export const consumerGroupOf = (config: GroupSettings): string =>
  config.groupId ?? ((needsOwnGroup(config) && readOwnGroup(config.dataDir)) || sharedGroup);

/** As `consumerGroupOf`, but creates the group's name and keeps it in the data directory if it has none yet. */
export const ensureConsumerGroup = (config: Config, log: Log): string => {
  if (!needsOwnGroup(config)) return consumerGroupOf(config);
  if (readOwnGroup(config.dataDir) === undefined)
    writePrivateFile(join(config.dataDir, fileName), `${sharedGroup}-${crypto.randomUUID().slice(0, 8)}\n`);
  const group = consumerGroupOf(config);
  log.info({ group }, 'KAFKA_GROUP_ID is not set: this data directory has a consumer group of its own');
  return group;
};
