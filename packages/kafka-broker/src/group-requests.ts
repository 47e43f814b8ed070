/** FindCoordinator, JoinGroup, SyncGroup, …, OffsetCommit, OffsetFetch: the requests of members of consumer groups. */
import type { Catalog } from './catalog.ts';
import type { Faults } from './faults.ts';
import type { Identity } from './group-member.ts';
import type { Groups } from './groups.ts';
import type { Api, Apis } from './requests.ts';
import { type Advertise, nodeId } from './topic-requests.ts';
import type { Topics } from './topics.ts';
import {
  errorCode,
  kafkaError,
  mapTopics,
  noTransactions,
  type Reader,
  readBytes,
  readList,
  readListOrNull,
  readName,
  readText,
  readTopics,
  writeBytes,
  writeList,
  writeText,
  writeTopics,
} from './wire.ts';

type Parts = { groups: Groups; catalog: Catalog; topics: Topics; faults: Faults; advertise: Advertise };
const maxMetadata = 4096;
const notAsked = -(2 ** 31);

const findCoordinator = ({ advertise }: Parts): Api => ({
  versions: [0, 2],
  async handle({ version, request, answer, attempt, ...client }) {
    readName(request);
    const isGroup = version === 0 || request.readInt8() === 0;
    const { error, text } = await attempt(() => {
      if (!isGroup) throw noTransactions();
    });
    const { host, port } = error === 0 ? advertise(client) : { host: '', port: -1 };
    if (version >= 1) answer.appendInt32(0);
    answer.appendInt16(error);
    if (version >= 1) writeText(answer, text);
    answer.appendInt32(error === 0 ? nodeId : -1);
    writeText(answer, host).appendInt32(port);
  },
});

const joinGroup = ({ groups }: Parts): Api => ({
  versions: [2, 5],
  async handle({ version, request, answer, attempt, clientId, host, signal }) {
    const asked = {
      group: readName(request),
      sessionTimeout: request.readInt32(),
      rebalanceTimeout: request.readInt32(),
      member: readName(request),
      instance: version >= 5 ? readText(request) : null,
      protocolType: readName(request),
      protocols: readList(request, () => ({ name: readName(request), metadata: readBytes(request) })),
    };
    const { error: failure, value } = await attempt(() =>
      groups.join({ ...asked, clientId, clientHost: `/${host}`, signal, mustReturn: version >= 4 }),
    );
    const error = value?.mustReturn ? errorCode('MEMBER_ID_REQUIRED') : failure;
    answer
      .appendInt32(0)
      .appendInt16(error)
      .appendInt32(value?.generation ?? -1);
    writeText(answer, value?.protocol ?? '');
    writeText(answer, value?.leader ?? '');
    writeText(answer, value?.member ?? asked.member);
    writeList(answer, value?.members ?? [], ({ id, instance, metadata }) => {
      writeText(answer, id);
      if (version >= 5) writeText(answer, instance);
      writeBytes(answer, metadata);
    });
  },
});

/** The member that sends the request. A static member also sends its instance id; only its latest member id is accepted. */
const readMember = (request: Reader, withInstance: boolean) => {
  const [group, generation, id] = [readName(request), request.readInt32(), readName(request)];
  const member: Identity = { id, instance: withInstance ? readText(request) : null };
  return { group, generation, member };
};

const syncGroup = ({ groups }: Parts): Api => ({
  versions: [0, 3],
  async handle({ version, request, answer, attempt }) {
    const { group, generation, member } = readMember(request, version >= 3);
    const assignments = new Map(readList(request, () => [readName(request), readBytes(request)] as const));
    const { error, value } = await attempt(() => groups.get(group).sync(member, generation, assignments));
    if (version >= 1) answer.appendInt32(0);
    answer.appendInt16(error);
    writeBytes(answer, value ?? Buffer.alloc(0));
  },
});

const heartbeat = ({ groups }: Parts): Api => ({
  versions: [0, 3],
  async handle({ version, request, answer, attempt }) {
    const { group, generation, member } = readMember(request, version >= 3);
    const { error } = await attempt(() => groups.get(group).heartbeat(member, generation));
    if (version >= 1) answer.appendInt32(0);
    answer.appendInt16(error);
  },
});

const leaveGroup = ({ groups }: Parts): Api => ({
  versions: [0, 3],
  async handle({ version, request, answer, attempt }) {
    const group = readName(request);
    const readOne = (): Identity => ({
      id: readName(request),
      instance: version >= 3 ? readText(request) : null,
    });
    const leaving = version >= 3 ? readList(request, readOne) : [readOne()];
    const left = await Promise.all(
      leaving.map(async (member) => ({
        member,
        ...(await attempt(() => groups.get(group).leave(member))),
      })),
    );
    if (version >= 1) answer.appendInt32(0);
    answer.appendInt16(version >= 3 ? 0 : (left[0]?.error ?? 0));
    if (version < 3) return;
    writeList(answer, left, ({ member: { id, instance }, error }) => {
      writeText(answer, id);
      writeText(answer, instance).appendInt16(error);
    });
  },
});

const offsetCommit = ({ groups, catalog, topics, faults }: Parts): Api => ({
  versions: [2, 7],
  async handle({ version, request, answer, attempt }) {
    const { group, generation, member } = readMember(request, version >= 7);
    if (version < 5) request.readInt64(); // How long to keep the offsets: here for ever.
    const wanted = readTopics(request, () => {
      const [partition, offset] = [request.readInt32(), Number(request.readInt64())];
      if (version >= 6) request.readInt32(); // The leader's epoch: there is one leader.
      return { partition, offset, metadata: readName(request) };
    });
    const sound = await mapTopics(wanted, (entry) =>
      attempt(
        () => {
          topics.partition(entry.topic, entry.partition);
          if (entry.metadata.length > maxMetadata) throw kafkaError('OFFSET_METADATA_TOO_LARGE');
          return entry;
        },
        { topic: entry.topic, partition: entry.partition },
      ),
    );
    const { error } = await attempt(() => {
      groups.checkCommit(group, member, generation);
      faults.assertSpace();
      catalog.commit(
        group,
        sound.flatMap(({ partitions }) => partitions.flatMap(({ value }) => value ?? [])),
      );
    });
    // Clients do not expect a storage error here; after this one they look up the coordinator and retry.
    const failure = error === errorCode('KAFKA_STORAGE_ERROR') ? errorCode('NOT_COORDINATOR') : error;
    if (version >= 3) answer.appendInt32(0);
    writeTopics(answer, sound, ({ partition, error }) =>
      answer.appendInt32(partition).appendInt16(failure || error),
    );
  },
});

const offsetFetch = ({ catalog }: Parts): Api => ({
  versions: [1, 3],
  async handle({ version, request, answer, attempt }) {
    const group = readName(request);
    const wanted = readListOrNull(request, () => ({
      topic: readName(request),
      partitions: readList(request, () => ({ partition: request.readInt32() })),
    }));
    const { error, value: offsets = [] } = await attempt(() => catalog.offsets(group));
    const asked =
      wanted ??
      Object.entries(Object.groupBy(offsets, ({ topic }) => topic)).map(([topic, partitions = []]) => ({
        topic,
        partitions,
      }));
    const find = (topic: string, partition: number) =>
      offsets.find((entry) => entry.topic === topic && entry.partition === partition);
    if (version >= 3) answer.appendInt32(0);
    const known = await mapTopics(asked, async ({ topic, partition }) => ({ found: find(topic, partition) }));
    writeTopics(answer, known, ({ partition, found }) => {
      answer.appendInt32(partition).appendInt64(BigInt(found?.offset ?? -1));
      writeText(answer, found?.metadata ?? '').appendInt16(error);
    });
    if (version >= 2) answer.appendInt16(error);
  },
});

const describeGroups = ({ groups, catalog }: Parts): Api => ({
  versions: [0, 4],
  async handle({ version, request, answer, attempt }) {
    const names = readList(request, readName);
    if (version >= 3) request.readBoolean(); // Whether to list what the client may do: it may do everything.
    const found = await Promise.all(
      names.map(async (name) => ({ name, ...(await attempt(() => groups.find(name)?.describe())) })),
    );
    const known = new Set(catalog.groups());
    if (version >= 1) answer.appendInt32(0);
    writeList(answer, found, ({ name, error, value }) => {
      answer.appendInt16(error);
      writeText(answer, name);
      writeText(answer, value?.state ?? (known.has(name) ? 'Empty' : 'Dead'));
      writeText(answer, value?.protocolType ?? (known.has(name) ? 'consumer' : ''));
      writeText(answer, value?.protocol ?? '');
      writeList(answer, value?.members ?? [], ({ id, instance, ...member }) => {
        writeText(answer, id);
        if (version >= 4) writeText(answer, instance);
        for (const text of [member.clientId, member.clientHost]) writeText(answer, text);
        for (const bytes of [member.metadata, member.assignment]) writeBytes(answer, bytes);
      });
      if (version >= 3) answer.appendInt32(notAsked);
    });
  },
});

const listGroups = ({ groups, catalog }: Parts): Api => ({
  versions: [0, 2],
  async handle({ version, answer, attempt }) {
    const { error, value = [] } = await attempt(() => [
      ...new Set([...catalog.groups(), ...groups.all().map(({ name }) => name)]),
    ]);
    if (version >= 1) answer.appendInt32(0);
    answer.appendInt16(error);
    writeList(answer, value, (name) => {
      writeText(answer, name);
      writeText(answer, groups.find(name)?.describe().protocolType || 'consumer');
    });
  },
});

const deleteGroups = ({ groups, catalog }: Parts): Api => ({
  versions: [0, 1],
  async handle({ request, answer, attempt }) {
    const names = readList(request, readName);
    const gone = await Promise.all(
      names.map(async (name) => ({
        name,
        ...(await attempt(() => {
          const wasCommitted = catalog.groups().includes(name);
          if (!groups.remove(name) && !wasCommitted) throw kafkaError('GROUP_ID_NOT_FOUND');
          catalog.removeGroup(name);
        })),
      })),
    );
    answer.appendInt32(0);
    writeList(answer, gone, ({ name, error }) => writeText(answer, name).appendInt16(error));
  },
});

const offsetDelete = ({ groups, catalog }: Parts): Api => ({
  versions: [0, 0],
  async handle({ request, answer, attempt }) {
    const group = readName(request);
    const wanted = readTopics(request, () => ({ partition: request.readInt32() }));
    const { error } = await attempt(() => {
      if (!groups.find(group) && !catalog.groups().includes(group)) throw kafkaError('GROUP_ID_NOT_FOUND');
    });
    const deleted = await mapTopics(error === 0 ? wanted : [], ({ topic, partition }) =>
      attempt(
        () => {
          if (groups.find(group)?.isSubscribed(topic)) throw kafkaError('GROUP_SUBSCRIBED_TO_TOPIC');
          catalog.removeOffset(group, topic, partition);
        },
        { topic, partition },
      ),
    );
    answer.appendInt16(error).appendInt32(0);
    writeTopics(answer, deleted, ({ partition, error }) => answer.appendInt32(partition).appendInt16(error));
  },
});

export const groupApis = (parts: Parts): Apis => ({
  FindCoordinator: findCoordinator(parts),
  JoinGroup: joinGroup(parts),
  SyncGroup: syncGroup(parts),
  Heartbeat: heartbeat(parts),
  LeaveGroup: leaveGroup(parts),
  OffsetCommit: offsetCommit(parts),
  OffsetFetch: offsetFetch(parts),
  DescribeGroups: describeGroups(parts),
  ListGroups: listGroups(parts),
  DeleteGroups: deleteGroups(parts),
  OffsetDelete: offsetDelete(parts),
});
