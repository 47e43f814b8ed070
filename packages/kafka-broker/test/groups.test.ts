/** The rules of consumer groups in the embedded broker, where well-behaved clients do not show them. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import type { Joined, JoinRequest } from '../src/group-member.ts';
import { createGroups } from '../src/groups.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const dynamic = (id: string) => ({ id, instance: null });

const setup = () => {
  const groups = createGroups({ minSessionTimeout: 50 });
  const request = (overrides: Partial<JoinRequest> = {}): JoinRequest => ({
    group: 'g',
    member: '',
    instance: null,
    mustReturn: false,
    clientId: 'client',
    clientHost: '/127.0.0.1',
    sessionTimeout: 5000,
    rebalanceTimeout: 5000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('topics') }],
    signal: new AbortController().signal,
    ...overrides,
  });
  return {
    groups,
    request,
    join: async (overrides: Partial<JoinRequest> = {}): Promise<Joined> => groups.join(request(overrides)),
    sync: async (joined: Joined, assignments: Record<string, string> = {}) =>
      String(
        await groups
          .get('g')
          .sync(
            dynamic(joined.member),
            joined.generation,
            new Map(Object.entries(assignments).map(([id, text]) => [id, Buffer.from(text)])),
          ),
      ),
    [Symbol.dispose]: groups.close,
  };
};

test('the first to join leads; who joins later makes all join again, and the leader hands out to both', async () => {
  using group = setup();
  const alone = await group.join();
  expect(alone).toMatchObject({ generation: 1, leader: alone.member, protocol: 'range' });
  expect(await group.sync(alone, { [alone.member]: 'all' })).toBe('all');

  const joining = group.join();
  expect(() => group.groups.get('g').heartbeat(dynamic(alone.member), 1)).toThrow('REBALANCE_IN_PROGRESS');
  const first = await group.join({ member: alone.member });
  const second = await joining;
  expect(first.generation).toBe(2);
  expect(first.members.map(({ id }) => id)).toEqual([first.member, second.member]);
  expect(second).toMatchObject({ generation: 2, leader: first.member, members: [] });
  const waiting = group.sync(second);
  expect(await group.sync(first, { [first.member]: 'one', [second.member]: 'other' })).toBe('one');
  expect(await waiting).toBe('other');
  expect(group.groups.get('g').describe().state).toBe('Stable');
});

test('strangers, former generations and commits at the wrong time are refused as Kafka refuses them', async () => {
  using group = setup();
  const { groups } = group;
  await expect(group.join({ member: 'stranger' })).rejects.toThrow('UNKNOWN_MEMBER_ID');
  const joined = await group.join();
  const commit = (generation: number, member = joined.member) =>
    groups.checkCommit('g', dynamic(member), generation);
  expect(() => commit(1)).toThrow('REBALANCE_IN_PROGRESS');
  await group.sync(joined);
  expect(() => groups.get('g').heartbeat(dynamic('stranger'), 1)).toThrow('UNKNOWN_MEMBER_ID');
  expect(() => groups.get('g').heartbeat(dynamic(joined.member), 0)).toThrow('ILLEGAL_GENERATION');
  expect(() => groups.get('g').leave(dynamic('stranger'))).toThrow('UNKNOWN_MEMBER_ID');
  await expect(group.sync({ ...joined, generation: 2 })).rejects.toThrow('ILLEGAL_GENERATION');
  expect(() => commit(0)).toThrow('ILLEGAL_GENERATION');
  expect(() => commit(1, 'stranger')).toThrow('UNKNOWN_MEMBER_ID');
  expect(() => commit(-1, '')).toThrow('UNKNOWN_MEMBER_ID');
  expect(() => groups.checkCommit('unheard of', dynamic('m'), 1)).toThrow('ILLEGAL_GENERATION');
  groups.checkCommit('unheard of', dynamic(''), -1);
  commit(1);
});

test('a member needs a group, a session within bounds, and something in common with the others', async () => {
  using group = setup();
  await expect(group.join({ group: '' })).rejects.toThrow('INVALID_GROUP_ID');
  await expect(group.join({ sessionTimeout: 49 })).rejects.toThrow('INVALID_SESSION_TIMEOUT');
  await expect(group.join({ sessionTimeout: 1e9 })).rejects.toThrow('INVALID_SESSION_TIMEOUT');
  await expect(group.join({ protocols: [] })).rejects.toThrow('INCONSISTENT_GROUP_PROTOCOL');
  await group.join();
  const other = [{ name: 'roundrobin', metadata: Buffer.from('topics') }];
  await expect(group.join({ protocols: other })).rejects.toThrow('INCONSISTENT_GROUP_PROTOCOL');
  await expect(group.join({ protocolType: 'connect' })).rejects.toThrow('INCONSISTENT_GROUP_PROTOCOL');
});

test('who does not join again within the rebalance timeout is out, and so is who is silent', async () => {
  using group = setup();
  const silent = await group.join({ rebalanceTimeout: 100, sessionTimeout: 60_000 });
  await group.sync(silent);
  const second = await group.join({ rebalanceTimeout: 100 });
  expect(second).toMatchObject({ generation: 2, leader: second.member });
  await expect(group.join({ member: silent.member })).rejects.toThrow('UNKNOWN_MEMBER_ID');
  const brief = group.join({ sessionTimeout: 50 });
  await group.join({ member: second.member });
  await brief;
  expect(group.groups.get('g').describe().members).toHaveLength(2);
  await until(() => group.groups.get('g').describe().members.length === 1);
});

test('a new member whose client goes away while it waits to join holds nobody up', async () => {
  using group = setup();
  const stays = await group.join();
  await group.sync(stays);
  const client = new AbortController();
  const gone = group.join({ signal: client.signal });
  client.abort();
  await expect(gone).rejects.toThrow('UNKNOWN_MEMBER_ID');
  expect(await group.join({ member: stays.member })).toMatchObject({ generation: 2 });
  expect(group.groups.get('g').describe().members).toHaveLength(1);
});

test('a member whose answer was lost asks again and gets the same one', async () => {
  using group = setup();
  const first = await group.join();
  const again = await group.join({ member: first.member });
  expect(again).toEqual(first);
  await group.sync(first, { [first.member]: 'all' });
  expect(await group.sync(first)).toBe('all');
});

const subscribed = [{ name: 'range', metadata: Buffer.from('topics') }];

test('a static member that comes back under its name keeps its partitions without a rebalance, and the old one is fenced', async () => {
  using group = setup();
  const first = await group.join({ instance: 'one', protocols: subscribed });
  await group.sync(first, { [first.member]: 'all' });
  const second = await group.join({ instance: 'one', protocols: subscribed });
  expect(second.generation).toBe(first.generation);
  expect(second.member).not.toBe(first.member);
  // It does not lead, or it would hand out the partitions again.
  expect(second.leader).not.toBe(second.member);
  expect(await group.sync(second)).toBe('all');
  const g = group.groups.get('g');
  const as = (id: string) => ({ id, instance: 'one' });
  g.heartbeat(as(second.member), second.generation);
  expect(() => g.heartbeat(as(first.member), first.generation)).toThrow('FENCED_INSTANCE_ID');
  await expect(group.join({ instance: 'one', member: first.member })).rejects.toThrow('FENCED_INSTANCE_ID');
  await expect(group.join({ instance: 'two', member: first.member })).rejects.toThrow('UNKNOWN_MEMBER_ID');
  g.leave({ id: '', instance: 'one' });
  expect(g.describe()).toMatchObject({ state: 'Empty', members: [] });
});

test('a static member that comes back with other topics makes all join again', async () => {
  using group = setup();
  const first = await group.join({ instance: 'one' });
  await group.sync(first, { [first.member]: 'all' });
  const other = [{ name: 'range', metadata: Buffer.from('other topics') }];
  const again = await group.join({ instance: 'one', protocols: other });
  expect(again).toMatchObject({ generation: 2, leader: again.member });
});

test('a new dynamic member of JoinGroup 4 is given its id and joins with that', async () => {
  using group = setup();
  const given = await group.join({ mustReturn: true });
  expect(given).toMatchObject({ mustReturn: true, generation: -1 });
  expect(group.groups.get('g').describe().members).toHaveLength(0);
  const joined = await group.join({ mustReturn: true, member: given.member });
  expect(joined).toMatchObject({ generation: 1, member: given.member, leader: given.member });
});
