/** The topics: their partitions' logs, and their settings. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Catalog, TopicRow } from './catalog.ts';
import type { Faults } from './faults.ts';
import { openPartitionLog, type PartitionLog } from './partition-log.ts';
import { kafkaError } from './wire.ts';

export type Log = Record<'info' | 'warn' | 'error', (fields: object, text: string) => void>;
export type Topic = Omit<TopicRow, 'partitions'> & { partitions: PartitionLog[] };
export type Topics = ReturnType<typeof openTopics>;

/** Kafka's defaults; any other setting is kept and told when asked for, but changes nothing. */
const defaultConfig: Record<string, string> = {
  'cleanup.policy': 'delete',
  'compression.type': 'producer',
  'max.message.bytes': '1048588',
  'message.timestamp.type': 'CreateTime',
  'min.insync.replicas': '1',
  'retention.bytes': '-1',
  'retention.ms': '-1',
};
const maxPartitions = 1000;

const checkConfig = (config: Record<string, string>) => {
  const size = config['max.message.bytes'];
  if (size !== undefined && !/^\d{1,9}$/.test(size)) {
    throw kafkaError('INVALID_CONFIG', `max.message.bytes must be a number of bytes, not ${size}`);
  }
};

type Options = { dataDir: string; catalog: Catalog; faults: Faults; log: Log; defaultPartitions: number };

/** Opens every log. Throws if one is damaged elsewhere than at its end. */
export const openTopics = ({ dataDir, catalog, faults, log, defaultPartitions }: Options) => {
  const topics = new Map<string, Topic>();

  // The id keeps a deleted topic apart from a new one of its name, and two names that differ in case only.
  const directory = (name: string, id: number) => join(dataDir, 'topics', `${name.slice(0, 200)}.${id}`);

  const open = (row: TopicRow): Topic => {
    const path = directory(row.name, row.id);
    mkdirSync(path, { recursive: true });
    const logStarts = catalog.logStarts(row.id);
    const partitions = Array.from({ length: row.partitions }, (_, partition) =>
      openPartitionLog({
        path: join(path, `${partition}.log`),
        write: faults.write,
        logStart: logStarts.get(partition) ?? 0,
        saveLogStart: (offset) => catalog.setLogStart(row.id, partition, offset),
        onCut: (bytes) =>
          log.warn(
            { topic: row.name, partition, bytes },
            'cut off the end of a log, a write that was never finished',
          ),
      }),
    );
    const topic = { ...row, partitions };
    topics.set(row.name, topic);
    return topic;
  };

  const get = (name: string): Topic => {
    const topic = topics.get(name);
    if (!topic) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
    return topic;
  };

  const closeAll = () => {
    for (const { partitions } of topics.values()) for (const partition of partitions) partition.close();
  };

  try {
    catalog.topics().forEach(open);
  } catch (error) {
    closeAll();
    throw error;
  }

  return {
    all: () => [...topics.values()],
    get,
    partition: (name: string, partition: number): PartitionLog => {
      const found = get(name).partitions[partition];
      if (!found) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
      return found;
    },
    maxMessageBytes: (name: string): number =>
      Number({ ...defaultConfig, ...get(name).config }['max.message.bytes']),
    /** Every setting, and which of them are the topic's own. */
    config: (name: string) => {
      const own = get(name).config;
      return Object.entries({ ...defaultConfig, ...own }).map(([key, value]) => ({
        key,
        value,
        isOwn: key in own,
      }));
    },

    /** Partitions below 1 mean the default. With `dryRun`, only checks. */
    create(
      name: string,
      partitions = -1,
      config: Record<string, string> = {},
      dryRun = false,
    ): Topic | undefined {
      if (!/^[\w.-]{1,249}$/.test(name) || name === '.' || name === '..')
        throw kafkaError('INVALID_TOPIC_EXCEPTION');
      if (topics.has(name)) throw kafkaError('TOPIC_ALREADY_EXISTS');
      const count = partitions === -1 ? defaultPartitions : partitions;
      if (count < 1 || count > maxPartitions) {
        throw kafkaError('INVALID_PARTITIONS', `a topic has 1 to ${maxPartitions} partitions, not ${count}`);
      }
      checkConfig(config);
      if (dryRun) return undefined;
      faults.assertSpace();
      const id = catalog.addTopic(name, count, config);
      try {
        return open({ id, name, partitions: count, config });
      } catch (error) {
        catalog.removeTopic(name);
        throw error;
      }
    },

    /** Sets what `changes` holds, and takes back what it holds as null. */
    configure(name: string, changes: Record<string, string | null>, dryRun: boolean) {
      const topic = get(name);
      const kept = Object.entries({ ...topic.config, ...changes }).filter(([, value]) => value !== null);
      const config = Object.fromEntries(kept) as Record<string, string>;
      checkConfig(config);
      if (dryRun) return;
      faults.assertSpace();
      catalog.setConfig(name, config);
      topic.config = config;
    },

    remove(name: string) {
      const topic = get(name);
      catalog.removeTopic(name);
      topics.delete(name);
      for (const partition of topic.partitions) partition.close();
      rmSync(directory(name, topic.id), { recursive: true, force: true });
    },

    close: closeAll,
  };
};
