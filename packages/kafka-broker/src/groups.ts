/** The consumer groups, by their names. */
import { createGroup, type Group } from './group.ts';
import type { Identity, JoinRequest, State } from './group-member.ts';
import { kafkaError } from './wire.ts';

const maxSessionTimeout = 30 * 60_000;

/** `minSessionTimeout` in ms; Kafka's own minimum is 6000. */
export const createGroups = ({ minSessionTimeout = 6000 }: { minSessionTimeout?: number | undefined }) => {
  const groups = new Map<string, Group>();
  const watchers = new Set<() => void>();
  const notify = () => {
    for (const watcher of [...watchers]) watcher();
  };

  /** Gives a new member its id, with which it has to come back: one that never does delays no other member. */
  const welcome = (request: JoinRequest) => {
    const group = groups.get(request.group) ?? createGroup(request.group, notify);
    groups.set(request.group, group);
    return group.assignId(request);
  };

  const get = (name: string): Group => {
    const group = groups.get(name);
    if (!group) throw kafkaError('UNKNOWN_MEMBER_ID');
    return group;
  };

  return {
    get,
    find: (name: string) => groups.get(name),
    all: () => [...groups.values()],

    join(request: JoinRequest) {
      const { group: name, sessionTimeout, rebalanceTimeout, member } = request;
      if (name === '') throw kafkaError('INVALID_GROUP_ID');
      if (sessionTimeout < minSessionTimeout || sessionTimeout > maxSessionTimeout || rebalanceTimeout < 0) {
        throw kafkaError('INVALID_SESSION_TIMEOUT');
      }
      if (member !== '') return get(name).join(request);
      if (request.mustReturn && request.instance === null) return welcome(request);
      const group = groups.get(name) ?? createGroup(name, notify);
      const joined = group.join(request);
      groups.set(name, group);
      return joined;
    },

    checkCommit(name: string, member: Identity, generation: number) {
      const group = groups.get(name);
      if (group) group.checkCommit(member, generation);
      else if (generation >= 0) throw kafkaError('ILLEGAL_GENERATION');
    },

    /** Resolves when the group has the expected state. */
    waitFor(name: string, { state = 'Stable', members, timeoutMs = 10_000 }: WantedGroup): Promise<void> {
      const current = () => {
        const { state, members } = groups.get(name)?.describe() ?? { state: 'Empty', members: [] };
        return { state, members: members.length };
      };
      const isWanted = () => {
        const now = current();
        return now.state === state && (members === undefined || now.members === members);
      };
      return new Promise((resolve, reject) => {
        const finish = (error?: Error) => {
          clearTimeout(timer);
          watchers.delete(check);
          error ? reject(error) : resolve();
        };
        const check = () => {
          if (isWanted()) finish();
        };
        const timer = setTimeout(() => {
          const now = current();
          const wanted = `${state}${members === undefined ? '' : ` with ${members} members`}`;
          const text = `The group ${name} is ${now.state} with ${now.members} members, not ${wanted}, after ${timeoutMs} ms.`;
          finish(new Error(text));
        }, timeoutMs);
        watchers.add(check);
        check();
      });
    },

    /** Forgets all groups; their members learn it with their next request. */
    clear() {
      for (const group of groups.values()) group.close();
      groups.clear();
      notify();
    },

    remove(name: string) {
      const group = groups.get(name);
      if (group && group.state !== 'Empty') throw kafkaError('NON_EMPTY_GROUP');
      const existed = groups.delete(name);
      notify();
      return existed;
    },

    close: () => {
      for (const group of groups.values()) group.close();
    },
  };
};
/** `state` is Stable if not given; any number of members is accepted. */
export type WantedGroup = { state?: State; members?: number; timeoutMs?: number };
export type Groups = ReturnType<typeof createGroups>;
