/** The members of a consumer group, and the requests by which they join. */
import { Reader, readList, readName } from './wire.ts';

export type Protocol = { name: string; metadata: Buffer };
export type Pending<T> = { resolve: (value: T) => void; reject: (error: Error) => void };
export type Joined = {
  generation: number;
  protocol: string;
  leader: string;
  member: string;
  /** For the leader only. */
  members: { id: string; instance: string | null; metadata: Buffer }[];
  /** The member is not in the group yet: it has to join again with this id (MEMBER_ID_REQUIRED). */
  mustReturn?: boolean;
};
/** `instance`: the `group.instance.id` of a static member, which it keeps over restarts; null for a dynamic one. */
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
  /** Aborted when the client disconnects. */
  signal: AbortSignal;
};
export type Member = Omit<JoinRequest, 'group' | 'member' | 'mustReturn' | 'protocolType' | 'signal'> & {
  id: string;
  assignment: Buffer;
  session?: Timer | undefined;
  join?: Pending<Joined> | undefined;
  sync?: Pending<Buffer> | undefined;
};
export type State = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable';

/** The fields that a member may change each time that it joins. */
export const memberFields = ({
  protocols,
  sessionTimeout,
  rebalanceTimeout,
  clientId,
  clientHost,
}: JoinRequest) => ({
  protocols,
  sessionTimeout,
  rebalanceTimeout,
  clientId,
  clientHost,
});

/** The topics in a consumer's metadata: a version, then their names. None where it cannot be read. */
export const subscribedTopics = (metadata: Buffer): string[] => {
  try {
    const reader = Reader.from(metadata);
    reader.readInt16();
    return readList(reader, readName);
  } catch {
    return [];
  }
};

/** Whether a member that joins again has the same protocols as before. */
export const sameProtocols = (one: Protocol[], other: Protocol[]) =>
  one.length === other.length &&
  one.every(({ name, metadata }, i) => name === other[i]?.name && metadata.equals(other[i].metadata));
