/** Metadata, CreateTopics, DeleteTopics, DescribeConfigs, AlterConfigs: which topics there are, and their settings. */
import type { Client } from './connection.ts';
import type { Api, Apis } from './requests.ts';
import type { Topic, Topics } from './topics.ts';
import {
  isKafkaError,
  kafkaError,
  mapTopics,
  type Reader,
  readList,
  readListOrNull,
  readName,
  readText,
  readTopics,
  type Writer,
  writeList,
  writeNumbers,
  writeText,
  writeTopics,
} from './wire.ts';

export const nodeId = 1;
/** The leader epoch of every partition, as there is one broker. */
export const leaderEpoch = 0;
/** Where this client finds the broker. */
export type Advertise = (client: Client) => { host: string; port: number };

const inTurn = async <T, U>(list: T[], work: (entry: T) => Promise<U>): Promise<U[]> => {
  const results: U[] = [];
  for (const entry of list) results.push(await work(entry));
  return results;
};

/** Authorized operations, of which a broker without authorization knows nothing. */
const unknownOperations = -(2 ** 31);

const metadata = (topics: Topics, advertise: Advertise, autoCreate: boolean): Api => ({
  versions: [1, 10],
  flexibleFrom: 9,
  async handle({ version, request, answer, attempt, ...client }) {
    const compact = version >= 9;
    const readWanted = (reader: Reader) => {
      // Ids may be asked for from version 12 on.
      if (version >= 10) reader.readUUID();
      return readName(reader, compact);
    };
    const names = readListOrNull(request, readWanted, compact) ?? topics.all().map(({ name }) => name);
    const mayCreate = autoCreate && (version < 4 || request.readBoolean());
    const find = (name: string): Topic | undefined => {
      try {
        return topics.get(name);
      } catch (error) {
        if (mayCreate && isKafkaError(error)) return topics.create(name);
        throw error;
      }
    };
    const found = await inTurn(names, async (name) => {
      const topic = await attempt(() => find(name));
      const partitions = await inTurn([...(topic.value?.partitions.keys() ?? [])], async (partition) => ({
        partition,
        // Always there, unless a test wants otherwise.
        ...(await attempt(() => nodeId, { topic: name, partition })),
      }));
      return { name, partitions, ...topic };
    });

    if (version >= 3) answer.appendInt32(0);
    writeList(
      answer,
      [advertise(client)],
      ({ host, port }) => {
        answer.appendInt32(nodeId);
        writeText(answer, host, compact).appendInt32(port);
        writeText(answer, null, compact);
      },
      compact,
    );
    if (version >= 2) writeText(answer, 'embedded', compact);
    answer.appendInt32(nodeId);
    writeList(
      answer,
      found,
      ({ name, error, value, partitions }) => {
        answer.appendInt16(error);
        writeText(answer, name, compact);
        if (version >= 10) answer.appendUUID(value?.uuid);
        answer.appendBoolean(false);
        writeList(
          answer,
          partitions,
          ({ partition, error, value: leader }) => {
            answer
              .appendInt16(error)
              .appendInt32(partition)
              .appendInt32(leader ?? -1);
            if (version >= 7) answer.appendInt32(leaderEpoch);
            // Replicas, those in sync, and those that are offline.
            for (const replicas of version >= 5 ? [[nodeId], [nodeId], []] : [[nodeId], [nodeId]])
              writeNumbers(answer, replicas, compact);
          },
          compact,
        );
        if (version >= 8) answer.appendInt32(unknownOperations);
      },
      compact,
    );
    if (version >= 8) answer.appendInt32(unknownOperations);
    if (compact) answer.appendTaggedFields();
  },
});

const readConfig = (request: Reader): [key: string, value: string | null][] =>
  readList(request, () => [readName(request), readText(request)]);

const oneReplica = () =>
  kafkaError('INVALID_REPLICATION_FACTOR', 'there is one broker, so there is one replica');

const createTopics = (topics: Topics): Api => ({
  versions: [2, 4],
  async handle({ request, answer, attempt }) {
    const wanted = readList(request, () => ({
      name: readName(request),
      partitions: request.readInt32(),
      replicas: request.readInt16(),
      assignments: readList(request, () => {
        request.readInt32();
        return readList(request, () => request.readInt32());
      }),
      config: readConfig(request),
    }));
    request.readInt32();
    const dryRun = request.readBoolean();
    const made = await inTurn(wanted, async ({ name, partitions, replicas, assignments, config }) => ({
      name,
      ...(await attempt(() => {
        if (replicas > 1 || assignments.some((nodes) => nodes.length !== 1)) {
          throw oneReplica();
        }
        const settings = Object.fromEntries(config.map(([key, value]) => [key, value ?? '']));
        topics.create(name, assignments.length || partitions, settings, dryRun);
      })),
    }));
    answer.appendInt32(0);
    writeList(answer, made, ({ name, error, text }) => {
      writeText(answer, name).appendInt16(error);
      writeText(answer, text);
    });
  },
});

const createPartitions = (topics: Topics): Api => ({
  versions: [0, 1],
  async handle({ request, answer, attempt }) {
    const wanted = readList(request, () => ({
      name: readName(request),
      count: request.readInt32(),
      assignments: readListOrNull(request, () => readList(request, () => request.readInt32())),
    }));
    request.readInt32();
    const dryRun = request.readBoolean();
    const made = await inTurn(wanted, async ({ name, count, assignments }) => ({
      name,
      ...(await attempt(() => {
        if (assignments?.some((nodes) => nodes.length !== 1)) throw oneReplica();
        topics.addPartitions(name, count, dryRun);
      })),
    }));
    answer.appendInt32(0);
    writeList(answer, made, ({ name, error, text }) => {
      writeText(answer, name).appendInt16(error);
      writeText(answer, text);
    });
  },
});

const deleteTopics = (topics: Topics): Api => ({
  versions: [1, 3],
  async handle({ request, answer, attempt }) {
    const names = readList(request, readName);
    const gone = await inTurn(names, async (name) => ({
      name,
      ...(await attempt(() => topics.remove(name))),
    }));
    answer.appendInt32(0);
    writeList(answer, gone, ({ name, error }) => writeText(answer, name).appendInt16(error));
  },
});

/** Stands for the end of the partition. */
const highWatermark = -1;

const deleteRecords = (topics: Topics): Api => ({
  versions: [0, 1],
  async handle({ request, answer, attempt }) {
    const wanted = readTopics(request, () => ({
      partition: request.readInt32(),
      offset: Number(request.readInt64()),
    }));
    const deleted = await mapTopics(wanted, ({ topic, partition, offset }) =>
      attempt(
        () => {
          const log = topics.partition(topic, partition);
          return log.deleteRecords(offset === highWatermark ? log.nextOffset : offset);
        },
        { topic, partition },
      ),
    );
    answer.appendInt32(0);
    writeTopics(answer, deleted, ({ partition, error, value }) =>
      answer
        .appendInt32(partition)
        .appendInt64(BigInt(value ?? -1))
        .appendInt16(error),
    );
  },
});

const ofTopic = 2;
/** Where a setting comes from, in Kafka's numbers. */
const source = { topic: 1, default: 5 };

const readResource = (request: Reader) => ({ type: request.readInt8(), name: readName(request) });

const writeResource = (
  answer: Writer,
  { error, text, type, name }: { error: number; text: string | null; type: number; name: string },
) => {
  answer.appendInt16(error);
  writeText(answer, text).appendInt8(type);
  writeText(answer, name);
};

const describeConfigs = (topics: Topics): Api => ({
  versions: [1, 2],
  async handle({ request, answer, attempt }) {
    const wanted = readList(request, () => ({
      ...readResource(request),
      keys: readListOrNull(request, readName),
    }));
    request.readBoolean();
    const found = await inTurn(wanted, async ({ type, name, keys }) => ({
      type,
      name,
      ...(await attempt(() =>
        // A broker has no settings of its own that a client could want.
        type === ofTopic ? topics.config(name).filter(({ key }) => !keys || keys.includes(key)) : [],
      )),
    }));
    answer.appendInt32(0);
    writeList(answer, found, (resource) => {
      writeResource(answer, resource);
      writeList(answer, resource.value ?? [], ({ key, value, isOwn }) => {
        writeText(answer, key);
        writeText(answer, value).appendBoolean(false);
        answer
          .appendInt8(isOwn ? source.topic : source.default)
          .appendBoolean(false)
          .appendInt32(0);
      });
    });
  },
});

/** A null value resets the setting to its default. */
type Change = { key: string; value: string | null; refused?: string };

/** `replacesAll`: what is not among the settings sent goes back to its default. */
const alterConfigs = (
  topics: Topics,
  readChange: (request: Reader) => Change,
  replacesAll: boolean,
): Api => ({
  versions: replacesAll ? [0, 1] : [0, 0],
  async handle({ request, answer, attempt }) {
    const wanted = readList(request, () => ({
      ...readResource(request),
      changes: readList(request, readChange),
    }));
    const dryRun = request.readBoolean();
    const changed = await inTurn(wanted, async ({ type, name, changes }) => ({
      type,
      name,
      ...(await attempt(() => {
        if (type !== ofTopic)
          throw kafkaError('INVALID_REQUEST', 'only topics have settings that can be changed');
        const own = topics.config(name).filter(({ isOwn }) => isOwn);
        const refused = changes.find((change) => change.refused)?.refused;
        if (refused !== undefined) throw kafkaError('INVALID_CONFIG', refused);
        const dropped = replacesAll ? own.map(({ key }) => [key, null]) : [];
        const set = changes.map(({ key, value }) => [key, value]);
        topics.configure(name, Object.fromEntries([...dropped, ...set]), dryRun);
      })),
    }));
    answer.appendInt32(0);
    writeList(answer, changed, (resource) => writeResource(answer, resource));
  },
});

const operations = ['SET', 'DELETE', 'APPEND', 'SUBTRACT'];

const incrementalChange = (request: Reader): Change => {
  const key = readName(request);
  const operation = operations[request.readInt8()];
  const value = readText(request);
  if (operation === 'SET' || operation === 'DELETE')
    return { key, value: operation === 'SET' ? value : null };
  // No setting here is a list that could hold more than one value.
  return { key, value, refused: `${key} can be SET or DELETEd, not ${operation ?? 'changed otherwise'}` };
};

export const topicApis = (topics: Topics, advertise: Advertise, autoCreate: boolean): Apis => ({
  Metadata: metadata(topics, advertise, autoCreate),
  CreateTopics: createTopics(topics),
  CreatePartitions: createPartitions(topics),
  DeleteTopics: deleteTopics(topics),
  DeleteRecords: deleteRecords(topics),
  DescribeConfigs: describeConfigs(topics),
  AlterConfigs: alterConfigs(
    topics,
    (request) => ({ key: readName(request), value: readText(request) }),
    true,
  ),
  IncrementalAlterConfigs: alterConfigs(topics, incrementalChange, false),
});
