/** Metadata, CreateTopics, CreatePartitions, DeleteTopics, DeleteRecords: which topics there are, and their partitions. */
import type { Client } from './connection.ts';
import { type Api, type Apis, inTurn } from './requests.ts';
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

export const topicApis = (topics: Topics, advertise: Advertise, autoCreate: boolean): Apis => ({
  Metadata: metadata(topics, advertise, autoCreate),
  CreateTopics: createTopics(topics),
  CreatePartitions: createPartitions(topics),
  DeleteTopics: deleteTopics(topics),
  DeleteRecords: deleteRecords(topics),
});
