/**
 * What the broker must remember beside the messages: topics, their settings, and committed offsets, in an SQLite file.
 * SQLite provides what such a file needs: changes that survive a killed process or are undone, a lock that dies
 * with its holder, and a place for the version of the data directory.
 */
import { Database } from 'bun:sqlite';
import { join } from 'node:path';

/** Raise it when an older broker could not read what the new one writes. */
const version = 2;

export type TopicRow = {
  /** Names the topic's directory. */
  id: number;
  /** The topic's id in Kafka's protocol, which no other topic has, in any catalog. */
  uuid: string;
  name: string;
  partitions: number;
  config: Record<string, string>;
};
export type Offset = { topic: string; partition: number; offset: number; metadata: string };

const tables = `
  create table topics (
    id integer primary key autoincrement, name text not null unique, partitions integer not null, config text not null
  ) strict;
  create table offsets (
    consumers text not null, topic text not null, partition integer not null, offset integer not null,
    metadata text not null, primary key (consumers, topic, partition)
  ) strict, without rowid;`;
/** Version 2: where each partition begins, once records before that have been deleted. */
const logStarts = `
  create table log_starts (
    topic_id integer not null references topics (id) on delete cascade, partition integer not null,
    offset integer not null, primary key (topic_id, partition)
  ) strict, without rowid;`;

/**
 * The topics' ids in Kafka's protocol, in a table of their own: an older broker ignores it and makes topics without an id, which get
 * one at the next start. So the version stays.
 */
const topicIds = `
  create table if not exists topic_ids (
    topic_id integer primary key references topics (id) on delete cascade, uuid text not null
  ) strict;`;

const hasCode = (error: unknown, code: string) =>
  String((error as { code?: unknown })?.code).startsWith(code);

/** Opens or creates the catalog and locks it. Throws an error whose message says what to do. */
const open = (dataDir: string | undefined, otherDirectory: string): Database => {
  const path = dataDir === undefined ? ':memory:' : join(dataDir, 'catalog.sqlite');
  const database = new Database(path, { create: true, strict: true });
  try {
    database.run('pragma locking_mode = exclusive');
    database.run('pragma journal_mode = wal');
    // Commits outlive the process, though not the machine's power: as much as the messages do.
    database.run('pragma synchronous = normal');
    database.run('pragma foreign_keys = on');
    database.run('begin immediate');
    const { user_version: found } = database.query('pragma user_version').get() as { user_version: number };
    if (found > version) {
      throw new Error(
        `${dataDir} was written by a newer version of this program (its format is ${found}, this one supports ${version}). ` +
          `Use that version, or ${otherDirectory}.`,
      );
    }
    if (found === 0) database.run(tables);
    if (found < 2) database.run(logStarts);
    database.run(topicIds);
    database.run(`pragma user_version = ${version}`);
    database.run('commit');
    return database;
  } catch (error) {
    database.close();
    if (hasCode(error, 'SQLITE_BUSY')) {
      throw new Error(`${dataDir} is in use by another process. Stop it, or ${otherDirectory}.`);
    }
    throw error;
  }
};

/** Without a directory it is in memory. `otherDirectory` is the advice at the end of an error. */
export const openCatalog = (dataDir: string | undefined, otherDirectory: string) => {
  const database = open(dataDir, otherDirectory);
  const insertTopic = database.query<{ id: number }, [string, number, string]>(
    'insert into topics (name, partitions, config) values (?, ?, ?) returning id',
  );
  const insertTopicId = database.query('insert into topic_ids values (?, ?)');
  const newTopicId = (id: number): string => {
    const uuid: string = crypto.randomUUID();
    insertTopicId.run(id, uuid);
    return uuid;
  };
  const updateConfig = database.query('update topics set config = ? where name = ?');
  const dropTopic = database.query('delete from topics where name = ?');
  const dropOffsets = database.query('delete from offsets where topic = ?');
  const dropGroupOffset = database.query(
    'delete from offsets where consumers = ? and topic = ? and partition = ?',
  );
  const updatePartitions = database.query('update topics set partitions = ? where name = ?');
  const dropGroup = database.query('delete from offsets where consumers = ?');
  const upsertLogStart = database.query(
    'insert into log_starts values (?, ?, ?) on conflict do update set offset = excluded.offset',
  );
  const selectLogStarts = database.query<{ partition: number; offset: number }, [number]>(
    'select partition, offset from log_starts where topic_id = ?',
  );
  const upsertOffset = database.query(
    `insert into offsets values (?, ?, ?, ?, ?)
     on conflict do update set offset = excluded.offset, metadata = excluded.metadata`,
  );
  const selectOffsets = database.query<Offset, [string]>(
    'select topic, partition, offset, metadata from offsets where consumers = ? order by topic, partition',
  );

  return {
    topics: (): TopicRow[] =>
      database
        .query<{ id: number; uuid: string | null; name: string; partitions: number; config: string }, []>(
          'select * from topics left join topic_ids on topic_id = id order by name',
        )
        .all()
        .map(({ id, uuid, name, partitions, config }) => ({
          id,
          uuid: uuid ?? newTopicId(id),
          name,
          partitions,
          config: JSON.parse(config),
        })),

    /** Returns the topic's ids, which no other topic ever had or will have. */
    addTopic: database.transaction(
      (name: string, partitions: number, config: Record<string, string>): Pick<TopicRow, 'id' | 'uuid'> => {
        const id = insertTopic.get(name, partitions, JSON.stringify(config))?.id as number;
        return { id, uuid: newTopicId(id) };
      },
    ),

    setConfig: (name: string, config: Record<string, string>) =>
      updateConfig.run(JSON.stringify(config), name),

    setPartitions: (name: string, partitions: number) => updatePartitions.run(partitions, name),

    removeOffset: (group: string, topic: string, partition: number) =>
      dropGroupOffset.run(group, topic, partition),

    /** The first offset of each partition that does not begin at 0. */
    logStarts: (topicId: number): Map<number, number> =>
      new Map(selectLogStarts.all(topicId).map(({ partition, offset }) => [partition, offset])),

    setLogStart: (topicId: number, partition: number, offset: number) =>
      upsertLogStart.run(topicId, partition, offset),

    /** Forgets the topic and every offset committed on it. */
    removeTopic: database.transaction((name: string) => {
      dropTopic.run(name);
      dropOffsets.run(name);
    }),

    /** All of them or none. */
    commit: database.transaction((group: string, offsets: Offset[]) => {
      for (const { topic, partition, offset, metadata } of offsets) {
        upsertOffset.run(group, topic, partition, offset, metadata);
      }
    }),

    offsets: (group: string): Offset[] => selectOffsets.all(group),

    /** Every group that has committed an offset. */
    groups: (): string[] =>
      database
        .query<{ consumers: string }, []>('select distinct consumers from offsets')
        .all()
        .map(({ consumers }) => consumers),

    /** Forgets all topics and offsets; no id is used again. */
    clear: database.transaction(() => {
      database.run('delete from topics');
      database.run('delete from offsets');
    }),

    removeGroup: (group: string) => dropGroup.run(group),

    close: () => database.close(),
  };
};
export type Catalog = ReturnType<typeof openCatalog>;
