/**
 * One consumer group: who is in, who reads what, as Kafka's group coordinator decides it. It is
 * empty → joining (all members are to join again) → syncing (the leader hands out partitions) → stable, and around again.
 * Members and generations live in memory only: after a restart the members join anew. Committed offsets are kept.
 */
import { kafkaError, Reader, readList, readName } from './wire.ts';

type Protocol = { name: string; metadata: Buffer };
type Pending<T> = { resolve: (value: T) => void; reject: (error: Error) => void };
export type Joined = {
  generation: number;
  protocol: string;
  leader: string;
  member: string;
  /** For the leader only. */
  members: { id: string; instance: string | null; metadata: Buffer }[];
  /** The member is not in the group yet: it has to join with the id that it has been given. */
  mustReturn?: boolean;
};
/** `instance` is the name of a static member, which it keeps over restarts; null for a dynamic one. */
export type Identity = { id: string; instance: string | null };
export type JoinRequest = {
  group: string;
  member: string;
  /** The name of a static member. */
  instance: string | null;
  /** Whether a new dynamic member is given its id first and joins with that (JoinGroup 4 and later). */
  mustReturn: boolean;
  clientId: string;
  clientHost: string;
  sessionTimeout: number;
  rebalanceTimeout: number;
  protocolType: string;
  protocols: Protocol[];
  /** Aborted when the client goes away. */
  signal: AbortSignal;
};
type Member = Omit<JoinRequest, 'group' | 'member' | 'mustReturn' | 'protocolType' | 'signal'> & {
  id: string;
  assignment: Buffer;
  session?: Timer | undefined;
  join?: Pending<Joined> | undefined;
  sync?: Pending<Buffer> | undefined;
};
export type State = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable';
export type Group = ReturnType<typeof createGroup>;

const nothing = Buffer.alloc(0);

/** What a member may change each time that it joins. */
const pick = ({ protocols, sessionTimeout, rebalanceTimeout, clientId, clientHost }: JoinRequest) => ({
  protocols,
  sessionTimeout,
  rebalanceTimeout,
  clientId,
  clientHost,
});

/** The topics in a consumer's metadata: a version, then their names. None where it cannot be read. */
const subscribedTopics = (metadata: Buffer): string[] => {
  try {
    const reader = Reader.from(metadata);
    reader.readInt16();
    return readList(reader, readName);
  } catch {
    return [];
  }
};

/** `onChange` is called after each change of its state or members. */
export const createGroup = (name: string, onChange: () => void) => {
  const members = new Map<string, Member>();
  /** Of dynamic members that were given an id and have not come back with it. */
  const expected = new Map<string, Timer>();
  let state: State = 'Empty';
  let generation = 0;
  let protocolType = '';
  let protocol = '';
  let leader = '';
  let deadline: Timer | undefined;

  const everyone = () => [...members.values()];
  const isSupported = (candidate: string) =>
    everyone().every(({ protocols }) => protocols.some(({ name }) => name === candidate));

  const settle = (member: Member, error: Error) => {
    member.join?.reject(error);
    member.sync?.reject(error);
    member.join = member.sync = undefined;
  };

  /** The member has been heard of: it is given its session timeout once more. */
  const touch = (member: Member) => {
    clearTimeout(member.session);
    member.session = setTimeout(() => remove(member), member.sessionTimeout);
  };

  const joinedAs = (member: Member): Joined => ({
    generation,
    protocol,
    leader,
    member: member.id,
    members:
      member.id !== leader
        ? []
        : everyone().map(({ id, instance, protocols }) => ({
            id,
            instance,
            metadata: metadataOf(protocols),
          })),
  });
  const metadataOf = (protocols: Protocol[]) =>
    protocols.find(({ name }) => name === protocol)?.metadata ?? nothing;

  /** Starts the next generation with those who have joined; who has not is out. */
  const completeJoin = () => {
    clearTimeout(deadline);
    queueMicrotask(onChange);
    // A static member may be away while it restarts; its session ends it.
    for (const member of everyone()) if (!member.join && member.instance === null) forget(member);
    const present = everyone();
    const first = present.find(({ join }) => join);
    if (!first) {
      state = 'Empty';
      return;
    }
    generation++;
    protocol = first.protocols.find(({ name }) => isSupported(name))?.name ?? '';
    if (!members.get(leader)?.join) leader = first.id;
    state = 'CompletingRebalance';
    for (const member of present) {
      member.assignment = nothing;
      if (!member.join) continue;
      member.join.resolve(joinedAs(member));
      member.join = undefined;
      touch(member);
    }
  };

  const rebalance = () => {
    if (state !== 'PreparingRebalance') {
      state = 'PreparingRebalance';
      for (const member of everyone()) {
        if (!member.sync) continue;
        settle(member, kafkaError('REBALANCE_IN_PROGRESS'));
        touch(member);
      }
      clearTimeout(deadline);
      const patience = everyone().map(({ rebalanceTimeout }) => rebalanceTimeout);
      deadline = setTimeout(completeJoin, Math.max(...patience));
    }
    if (everyone().every(({ join }) => join)) completeJoin();
  };

  const forget = (member: Member) => {
    clearTimeout(member.session);
    settle(member, kafkaError('UNKNOWN_MEMBER_ID'));
    members.delete(member.id);
  };

  const remove = (member: Member) => {
    if (members.get(member.id) !== member) return;
    forget(member);
    queueMicrotask(onChange);
    if (members.size > 0) return rebalance();
    clearTimeout(deadline);
    state = 'Empty';
    generation++;
  };

  const staticMember = (instance: string | null): Member | undefined =>
    instance === null ? undefined : everyone().find((member) => member.instance === instance);

  /** Throws FENCED_INSTANCE_ID where a newer member has taken over the name. */
  const known = ({ id, instance }: Identity): Member => {
    const namesake = staticMember(instance);
    if (namesake && namesake.id !== id) throw kafkaError('FENCED_INSTANCE_ID');
    const member = members.get(id);
    if (!member || (instance !== null && !namesake)) throw kafkaError('UNKNOWN_MEMBER_ID');
    return member;
  };

  /** A static member came back under its name: it gets a new id, and whoever still uses the old one is refused. */
  const replace = (old: Member): Member => {
    clearTimeout(old.session);
    settle(old, kafkaError('FENCED_INSTANCE_ID'));
    const member = { ...old, id: newId(old) };
    members.delete(old.id);
    members.set(member.id, member);
    return member;
  };

  const newId = ({ instance, clientId }: Pick<JoinRequest, 'instance' | 'clientId'>) =>
    `${instance ?? clientId}-${crypto.randomUUID()}`;

  const current = (identity: Identity, ofGeneration: number): Member => {
    const member = known(identity);
    if (ofGeneration !== generation) throw kafkaError('ILLEGAL_GENERATION');
    return member;
  };

  const sameProtocols = (one: Protocol[], other: Protocol[]) =>
    one.length === other.length &&
    one.every(({ name, metadata }, i) => name === other[i]?.name && metadata.equals(other[i].metadata));

  return {
    name,
    get state() {
      return state;
    },
    describe: () => ({
      state,
      protocolType,
      protocol: state === 'Stable' ? protocol : '',
      members: everyone().map(({ id, instance, clientId, clientHost, protocols, assignment }) => ({
        id,
        instance,
        clientId,
        clientHost,
        metadata: state === 'Stable' ? metadataOf(protocols) : nothing,
        assignment,
      })),
    }),

    /** Whether a member of the consumers' protocol reads the topic. */
    isSubscribed: (topic: string) =>
      protocolType === 'consumer' &&
      everyone().some(({ protocols }) =>
        protocols.some(({ metadata }) => subscribedTopics(metadata).includes(topic)),
      ),

    /** Gives a new member an id, which is good for its session timeout. */
    welcome(request: JoinRequest): Joined {
      const id = newId(request);
      expected.set(
        id,
        setTimeout(() => expected.delete(id), request.sessionTimeout),
      );
      return { generation: -1, protocol: '', leader: '', member: id, members: [], mustReturn: true };
    },

    join(request: JoinRequest): Promise<Joined> | Joined {
      const { protocols, signal, instance } = request;
      const returns = expected.has(request.member);
      const isNew = request.member === '' || returns;
      const namesake = request.member === '' ? staticMember(instance) : undefined;
      const others = everyone().filter(({ id }) => id !== (namesake?.id ?? request.member));
      const fits =
        others.length === 0 ||
        (request.protocolType === protocolType &&
          protocols.some(({ name }) =>
            others.every((other) => other.protocols.some((own) => own.name === name)),
          ));
      if (!fits || protocols.length === 0 || request.protocolType === '') {
        throw kafkaError('INCONSISTENT_GROUP_PROTOCOL');
      }
      if (returns) {
        clearTimeout(expected.get(request.member));
        expected.delete(request.member);
      }
      if (namesake && state === 'Stable' && sameProtocols(namesake.protocols, protocols)) {
        // It goes on where it was. As the leader it would hand out partitions again: so it is given its old id as leader's.
        const oldLeader = leader;
        const member = replace(namesake);
        if (namesake.id === leader) leader = member.id;
        Object.assign(member, pick(request));
        touch(member);
        return { ...joinedAs(member), leader: oldLeader, members: [] };
      }
      const before = namesake
        ? replace(namesake)
        : isNew
          ? undefined
          : known({ id: request.member, instance });
      if (namesake && namesake.id === leader) leader = (before as Member).id;
      const unchanged = before && sameProtocols(before.protocols, protocols);
      const id = before?.id ?? (returns ? request.member : newId(request));
      const member: Member = before ?? { ...request, id, assignment: nothing };
      Object.assign(member, pick(request));
      protocolType = request.protocolType;
      if (
        unchanged &&
        !namesake &&
        (state === 'CompletingRebalance' || (state === 'Stable' && id !== leader))
      ) {
        // It did not get its answer; the generation stands.
        touch(member);
        return joinedAs(member);
      }
      members.set(id, member);
      settle(member, kafkaError('REBALANCE_IN_PROGRESS'));
      clearTimeout(member.session);
      return new Promise((resolve, reject) => {
        member.join = { resolve, reject };
        // A new member that goes away before it is told its name can never come back under it.
        if (isNew && instance === null)
          signal.addEventListener('abort', () => member.join && remove(member), { once: true });
        rebalance();
      });
    },

    sync(
      identity: Identity,
      ofGeneration: number,
      assignments: Map<string, Buffer>,
    ): Promise<Buffer> | Buffer {
      const member = current(identity, ofGeneration);
      if (state === 'PreparingRebalance') throw kafkaError('REBALANCE_IN_PROGRESS');
      touch(member);
      if (state === 'Stable') return member.assignment;
      if (member.id !== leader) {
        clearTimeout(member.session);
        member.sync?.reject(kafkaError('REBALANCE_IN_PROGRESS'));
        return new Promise((resolve, reject) => {
          member.sync = { resolve, reject };
        });
      }
      state = 'Stable';
      queueMicrotask(onChange);
      for (const other of everyone()) {
        other.assignment = assignments.get(other.id) ?? nothing;
        if (!other.sync) continue;
        other.sync.resolve(other.assignment);
        other.sync = undefined;
        touch(other);
      }
      return member.assignment;
    },

    heartbeat(identity: Identity, ofGeneration: number) {
      const member = current(identity, ofGeneration);
      if (!member.join && !member.sync) touch(member);
      if (state === 'PreparingRebalance') throw kafkaError('REBALANCE_IN_PROGRESS');
    },

    /** An operator removes a static member by its name alone, with an empty id. */
    leave: ({ id, instance }: Identity) =>
      remove(known({ id: id === '' ? (staticMember(instance)?.id ?? '') : id, instance })),

    /** Throws if this member may not commit now. A client outside any group commits with generation -1. */
    checkCommit(identity: Identity, ofGeneration: number) {
      if (ofGeneration < 0 && members.size === 0) return;
      const member = current(identity, ofGeneration);
      if (state === 'CompletingRebalance') throw kafkaError('REBALANCE_IN_PROGRESS');
      if (!member.join) touch(member);
    },

    close() {
      clearTimeout(deadline);
      for (const timer of expected.values()) clearTimeout(timer);
      expected.clear();
      for (const member of everyone()) {
        clearTimeout(member.session);
        settle(member, kafkaError('COORDINATOR_NOT_AVAILABLE'));
      }
      members.clear();
    },
  };
};
