/**
 * One consumer group: who is in, who reads what, as Kafka's group coordinator decides it. It is
 * empty → joining (all members are to join again) → syncing (the leader hands out partitions) → stable, and around again.
 * Members and generations live in memory only: after a restart the members join anew. Committed offsets are kept.
 */
import { kafkaError } from './wire.ts';

type Protocol = { name: string; metadata: Buffer };
type Pending<T> = { resolve: (value: T) => void; reject: (error: Error) => void };
export type Joined = {
  generation: number;
  protocol: string;
  leader: string;
  member: string;
  /** For the leader only. */
  members: { id: string; metadata: Buffer }[];
};
export type JoinRequest = {
  group: string;
  member: string;
  clientId: string;
  clientHost: string;
  sessionTimeout: number;
  rebalanceTimeout: number;
  protocolType: string;
  protocols: Protocol[];
  /** Aborted when the client goes away. */
  signal: AbortSignal;
};
type Member = Omit<JoinRequest, 'group' | 'member' | 'protocolType' | 'signal'> & {
  id: string;
  assignment: Buffer;
  session?: Timer | undefined;
  join?: Pending<Joined> | undefined;
  sync?: Pending<Buffer> | undefined;
};
type State = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable';
export type Group = ReturnType<typeof createGroup>;

const nothing = Buffer.alloc(0);

export const createGroup = (name: string) => {
  const members = new Map<string, Member>();
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
        : everyone().map(({ id, protocols }) => ({ id, metadata: metadataOf(protocols) })),
  });
  const metadataOf = (protocols: Protocol[]) =>
    protocols.find(({ name }) => name === protocol)?.metadata ?? nothing;

  /** Starts the next generation with those who have joined; who has not is out. */
  const completeJoin = () => {
    clearTimeout(deadline);
    for (const member of everyone()) if (!member.join) forget(member);
    const present = everyone();
    const [first] = present;
    if (!first) {
      state = 'Empty';
      return;
    }
    generation++;
    protocol = first.protocols.find(({ name }) => isSupported(name))?.name ?? '';
    if (!members.has(leader)) leader = first.id;
    state = 'CompletingRebalance';
    for (const member of present) {
      member.join?.resolve(joinedAs(member));
      member.join = undefined;
      member.assignment = nothing;
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
    if (members.size > 0) return rebalance();
    clearTimeout(deadline);
    state = 'Empty';
    generation++;
  };

  const known = (id: string): Member => {
    const member = members.get(id);
    if (!member) throw kafkaError('UNKNOWN_MEMBER_ID');
    return member;
  };

  const current = (id: string, ofGeneration: number): Member => {
    const member = known(id);
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
      members: everyone().map(({ id, clientId, clientHost, protocols, assignment }) => ({
        id,
        clientId,
        clientHost,
        metadata: state === 'Stable' ? metadataOf(protocols) : nothing,
        assignment,
      })),
    }),

    join(request: JoinRequest): Promise<Joined> | Joined {
      const { protocols, signal } = request;
      const isNew = request.member === '';
      const others = everyone().filter(({ id }) => id !== request.member);
      const fits =
        others.length === 0 ||
        (request.protocolType === protocolType &&
          protocols.some(({ name }) =>
            others.every((other) => other.protocols.some((own) => own.name === name)),
          ));
      if (!fits || protocols.length === 0 || request.protocolType === '') {
        throw kafkaError('INCONSISTENT_GROUP_PROTOCOL');
      }
      const before = isNew ? undefined : known(request.member);
      const unchanged = before && sameProtocols(before.protocols, protocols);
      const id = before?.id ?? `${request.clientId}-${crypto.randomUUID()}`;
      const member: Member = before ?? { ...request, id, assignment: nothing };
      Object.assign(member, {
        protocols,
        sessionTimeout: request.sessionTimeout,
        rebalanceTimeout: request.rebalanceTimeout,
      });
      protocolType = request.protocolType;
      if (unchanged && (state === 'CompletingRebalance' || (state === 'Stable' && id !== leader))) {
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
        if (isNew) signal.addEventListener('abort', () => member.join && remove(member), { once: true });
        rebalance();
      });
    },

    sync(id: string, ofGeneration: number, assignments: Map<string, Buffer>): Promise<Buffer> | Buffer {
      const member = current(id, ofGeneration);
      if (state === 'PreparingRebalance') throw kafkaError('REBALANCE_IN_PROGRESS');
      touch(member);
      if (state === 'Stable') return member.assignment;
      if (id !== leader) {
        clearTimeout(member.session);
        member.sync?.reject(kafkaError('REBALANCE_IN_PROGRESS'));
        return new Promise((resolve, reject) => {
          member.sync = { resolve, reject };
        });
      }
      state = 'Stable';
      for (const other of everyone()) {
        other.assignment = assignments.get(other.id) ?? nothing;
        if (!other.sync) continue;
        other.sync.resolve(other.assignment);
        other.sync = undefined;
        touch(other);
      }
      return member.assignment;
    },

    heartbeat(id: string, ofGeneration: number) {
      const member = current(id, ofGeneration);
      if (!member.join && !member.sync) touch(member);
      if (state === 'PreparingRebalance') throw kafkaError('REBALANCE_IN_PROGRESS');
    },

    leave: (id: string) => remove(known(id)),

    /** Throws if this member may not commit now. A client outside any group commits with generation -1. */
    checkCommit(id: string, ofGeneration: number) {
      if (ofGeneration < 0 && members.size === 0) return;
      const member = current(id, ofGeneration);
      if (state === 'CompletingRebalance') throw kafkaError('REBALANCE_IN_PROGRESS');
      if (!member.join) touch(member);
    },

    close() {
      clearTimeout(deadline);
      for (const member of everyone()) {
        clearTimeout(member.session);
        settle(member, kafkaError('COORDINATOR_NOT_AVAILABLE'));
      }
    },
  };
};
