/**
 * One consumer group: its members, generation and assignments, as Kafka's group coordinator keeps them. A group is Empty, then
 * PreparingRebalance (all members have to join again), CompletingRebalance (the leader assigns partitions) and Stable, until the
 * next rebalance. Members and generations are in memory only: after a restart the members join again. Committed offsets are kept.
 */
import {
  type Identity,
  type Joined,
  type JoinRequest,
  type Member,
  memberFields,
  type Protocol,
  type State,
  sameProtocols,
  subscribedTopics,
} from './group-member.ts';
import { kafkaError } from './wire.ts';

export type Group = ReturnType<typeof createGroup>;

const nothing = Buffer.alloc(0);

/** `onChange` is called after each change of its state or members. */
export const createGroup = (name: string, onChange: () => void) => {
  const members = new Map<string, Member>();
  /** Timers by member id: dynamic members that got an id and have not joined with it yet. */
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

  /** Restarts the member's session timeout. */
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

  /** Starts the next generation with the members that have joined, and removes the others. */
  const completeJoin = () => {
    clearTimeout(deadline);
    queueMicrotask(onChange);
    // A static member may be restarting: only its session timeout removes it.
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
      const timeouts = everyone().map(({ rebalanceTimeout }) => rebalanceTimeout);
      deadline = setTimeout(completeJoin, Math.max(...timeouts));
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

  /** Throws FENCED_INSTANCE_ID where a newer member has the same instance id. */
  const known = ({ id, instance }: Identity): Member => {
    const namesake = staticMember(instance);
    if (namesake && namesake.id !== id) throw kafkaError('FENCED_INSTANCE_ID');
    const member = members.get(id);
    if (!member || (instance !== null && !namesake)) throw kafkaError('UNKNOWN_MEMBER_ID');
    return member;
  };

  /** A static member has come back with its instance id: it gets a new member id, and requests with the old one are fenced. */
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

    /** Gives a new member an id, which is valid for its session timeout. */
    assignId(request: JoinRequest): Joined {
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
        // It keeps its assignment. A leader would assign partitions again, so it is answered its old id as the leader's.
        const oldLeader = leader;
        const member = replace(namesake);
        if (namesake.id === leader) leader = member.id;
        Object.assign(member, memberFields(request));
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
      Object.assign(member, memberFields(request));
      protocolType = request.protocolType;
      if (
        unchanged &&
        !namesake &&
        (state === 'CompletingRebalance' || (state === 'Stable' && id !== leader))
      ) {
        // Its answer was lost; the generation stays.
        touch(member);
        return joinedAs(member);
      }
      members.set(id, member);
      settle(member, kafkaError('REBALANCE_IN_PROGRESS'));
      clearTimeout(member.session);
      return new Promise((resolve, reject) => {
        member.join = { resolve, reject };
        // A new member that disconnects before it gets its id can never join with it.
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

    /** An operator removes a static member by its instance id alone, with an empty member id. */
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
