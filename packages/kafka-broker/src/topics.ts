/** The topics: their partitions' logs, and their settings. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Catalog, TopicRow } from './catalog.ts';
import type { Faults } from './faults.ts';
import { openPartitionLog, type PartitionLog } from './partition-log.ts';
import { directoryStorage, memoryStorage, type Storage } from './storage.ts';
import { checkConfig, completeConfig, limitsOf, type TopicConfig } from './topic-config.ts';
import { kafkaError } from './wire.ts';

export type Log = Record<'info' | 'warn' | 'error', (fields: object, text: string) => void>;
export type Topic = Omit<TopicRow, 'partitions'> & { partitions: PartitionLog[] };
export type Topics = ReturnType<typeof openTopics>;

const maxPartitions = 1000;

type Options = {
  /** Undefined keeps everything in memory. */
  dataDir: string | undefined;
  catalog: Catalog;
  faults: Faults;
  log: Log;
  defaultPartitions: number;
  /** What topics without settings of their own get. */
  topicDefaults: TopicConfig;
  retentionCheckMs: number;
};

/** Until version 2 a partition was one file. */
const moveOldFile = (file: string, directory: string) => {
  if (!existsSync(file)) return;
  mkdirSync(directory, { recursive: true });
  renameSync(file, join(directory, '00000000000000000000.log'));
};

/** Opens every log. */
export const openTopics = ({
  dataDir,
  catalog,
  faults,
  log,
  defaultPartitions,
  topicDefaults,
  retentionCheckMs,
}: Options) => {
  const topics = new Map<string, Topic>();
  checkConfig(topicDefaults);

  // The id keeps a deleted topic apart from a new one of its name, and two names that differ in case only.
  const directory = (name: string, id: number) =>
    join(dataDir ?? '', 'topics', `${name.slice(0, 200)}.${id}`);

  const storageOf = ({ name, id }: Topic, partition: number): Storage => {
    if (dataDir === undefined) return memoryStorage();
    const path = join(directory(name, id), String(partition));
    moveOldFile(`${path}.log`, path);
    return directoryStorage(path);
  };

  /** Opens the partitions that the topic does not have yet. */
  const openPartitions = (topic: Topic, count: number) => {
    const logStarts = catalog.logStarts(topic.id);
    const limits = () => limitsOf(completeConfig(topic.config, topicDefaults));
    for (let partition = topic.partitions.length; partition < count; partition++) {
      const opened = openPartitionLog({
        storage: storageOf(topic, partition),
        limits,
        write: faults.write,
        logStart: logStarts.get(partition) ?? 0,
        saveLogStart: (offset) => catalog.setLogStart(topic.id, partition, offset),
        onDamage: (damage) =>
          log.error(
            { topic: topic.name, partition, ...damage },
            'moved damaged bytes out of a log: a write that was cut short, or messages that are lost',
          ),
      });
      topic.partitions.push(opened);
    }
  };

  const close = ({ partitions }: Topic) => {
    for (const partition of partitions) partition.close();
  };

  const open = (row: TopicRow): Topic => {
    const topic: Topic = { ...row, partitions: [] };
    try {
      openPartitions(topic, row.partitions);
    } catch (error) {
      close(topic);
      throw error;
    }
    topics.set(row.name, topic);
    return topic;
  };

  const get = (name: string): Topic => {
    const topic = topics.get(name);
    if (!topic) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
    return topic;
  };

  const closeAll = () => {
    for (const topic of topics.values()) close(topic);
  };

  const deleteFiles = ({ name, id }: Topic) => {
    if (dataDir !== undefined) rmSync(directory(name, id), { recursive: true, force: true });
  };

  const checkCount = (count: number) => {
    if (count < 1 || count > maxPartitions) {
      throw kafkaError('INVALID_PARTITIONS', `a topic has 1 to ${maxPartitions} partitions, not ${count}`);
    }
  };

  const expire = () => {
    for (const { name, partitions } of topics.values()) {
      for (const partition of partitions) {
        try {
          partition.expire(Date.now());
        } catch (error) {
          log.error({ topic: name, err: error }, 'records past their retention could not be deleted');
        }
      }
    }
  };

  try {
    catalog.topics().forEach(open);
  } catch (error) {
    closeAll();
    throw error;
  }
  expire();
  const timer = setInterval(expire, retentionCheckMs);

  return {
    all: () => [...topics.values()],
    get,
    partition: (name: string, partition: number): PartitionLog => {
      const found = get(name).partitions[partition];
      if (!found) throw kafkaError('UNKNOWN_TOPIC_OR_PARTITION');
      return found;
    },
    /** Every setting, and which of them are the topic's own. */
    config: (name: string) => {
      const own = get(name).config;
      return Object.entries(completeConfig(own, topicDefaults)).map(([key, value]) => ({
        key,
        value,
        isOwn: key in own,
      }));
    },

    /** Partitions below 1 mean the default. With `dryRun`, only checks. */
    create(name: string, partitions = -1, config: TopicConfig = {}, dryRun = false): Topic | undefined {
      if (!/^[\w.-]{1,249}$/.test(name) || name === '.' || name === '..')
        throw kafkaError('INVALID_TOPIC_EXCEPTION');
      if (topics.has(name)) throw kafkaError('TOPIC_ALREADY_EXISTS');
      const count = partitions === -1 ? defaultPartitions : partitions;
      checkCount(count);
      checkConfig(config);
      if (dryRun) return undefined;
      faults.assertSpace();
      const ids = catalog.addTopic(name, count, config);
      try {
        return open({ ...ids, name, partitions: count, config });
      } catch (error) {
        catalog.removeTopic(name);
        throw error;
      }
    },

    /** Raises the number of partitions to `count`. */
    addPartitions(name: string, count: number, dryRun: boolean) {
      const topic = get(name);
      checkCount(count);
      const { length } = topic.partitions;
      if (count <= length) {
        const text = `the topic has ${length} partitions, which can only become more`;
        throw kafkaError('INVALID_PARTITIONS', text);
      }
      if (dryRun) return;
      faults.assertSpace();
      openPartitions(topic, count);
      catalog.setPartitions(name, count);
    },

    /** Sets what `changes` holds; null resets a setting to its default. */
    configure(name: string, changes: Record<string, string | null>, dryRun: boolean) {
      const topic = get(name);
      // A setting that was made before it was refused can be reset.
      checkConfig(
        Object.fromEntries(
          Object.entries(changes).filter((change): change is [string, string] => change[1] !== null),
        ),
      );
      const kept = Object.entries({ ...topic.config, ...changes }).filter(([, value]) => value !== null);
      const config = Object.fromEntries(kept) as TopicConfig;
      if (dryRun) return;
      faults.assertSpace();
      catalog.setConfig(name, config);
      topic.config = config;
    },

    remove(name: string) {
      const topic = get(name);
      catalog.removeTopic(name);
      topics.delete(name);
      close(topic);
      deleteFiles(topic);
    },

    clear() {
      const removed = [...topics.values()];
      catalog.clear();
      topics.clear();
      for (const topic of removed) {
        close(topic);
        deleteFiles(topic);
      }
    },

    close() {
      clearInterval(timer);
      closeAll();
    },
  };
};
