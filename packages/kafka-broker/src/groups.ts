/** The consumer groups, by their names. */
import { createGroup, type Group, type JoinRequest } from './group.ts';
import { kafkaError } from './wire.ts';

const maxSessionTimeout = 30 * 60_000;

/** `minSessionTimeout` in ms; Kafka's own least is 6000. */
export const createGroups = ({ minSessionTimeout = 6000 }: { minSessionTimeout?: number | undefined }) => {
  const groups = new Map<string, Group>();

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
      const group = groups.get(name) ?? createGroup(name);
      const joined = group.join(request);
      groups.set(name, group);
      return joined;
    },

    checkCommit(name: string, member: string, generation: number) {
      const group = groups.get(name);
      if (group) group.checkCommit(member, generation);
      else if (generation >= 0) throw kafkaError('ILLEGAL_GENERATION');
    },

    remove(name: string) {
      const group = groups.get(name);
      if (group && group.state !== 'Empty') throw kafkaError('NON_EMPTY_GROUP');
      return groups.delete(name);
    },

    close: () => {
      for (const group of groups.values()) group.close();
    },
  };
};
export type Groups = ReturnType<typeof createGroups>;
