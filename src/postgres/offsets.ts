import type { Sql } from 'postgres';

/** A consumer group in a topic. */
export type Group = { groupId: string; topic: string };

/**
 * An offset range [from, to) of a partition that is to be written, and the fencing token. A write replaces `claim` by `nextClaim`;
 * the next write has to know that, which proves that the last one is in this database and that nothing was written since. The
 * same write may be repeated when its answer was lost.
 */
export type FencedRange = Group & {
  partition: number;
  from: bigint;
  to: bigint;
  /** That of the record before `to`; undefined if it is not known. */
  leaderEpoch: number | undefined;
  claim: string;
  nextClaim: string;
};

/** A message that has a dead letter of a group: its offset, and its digest by `digestOf`. */
export type DeadLettered = { offset: string; digest: string };

export type StoredOffset = {
  /** Undefined until the first start offset is known. */
  nextOffset: bigint | undefined;
  /** An operator has skipped everything before it; forgotten once the group's committed offset has passed it. */
  skippedTo: bigint | undefined;
  /** The topic of the offsets; undefined if its id is not known. */
  topicId: string | undefined;
  /** The log of the leader with this epoch had all records before `nextOffset`; undefined if it is not known. */
  leaderEpoch: number | undefined;
  claim: string;
};

/** Where an assignment begins. */
type Begin = {
  partition: number;
  start: bigint;
  /** The log's first offset. */
  low: bigint;
  /** The skip can be forgotten. */
  isPastSkip: boolean;
  /** The stored offset was of an earlier topic. */
  isNewTopic: boolean;
  /** The log of the leader with this epoch had all records before `start`; undefined if it is not known. */
  leaderEpoch: number | undefined;
};

/** The offset to which an operator moves a partition's stored offset. */
type Target = { partition: number; offset: bigint };

type Row = {
  partition: number;
  next_offset: string | null;
  skipped_to: string | null;
  topic_id: string | null;
  leader_epoch: number | null;
  claim: string;
};
const columns = 'partition, next_offset, skipped_to, topic_id, leader_epoch, claim';

const toStoredOffsets = (rows: readonly Row[]): Map<number, StoredOffset> =>
  new Map(
    rows.map(({ partition, next_offset, skipped_to, topic_id, leader_epoch, claim }) => [
      partition,
      {
        nextOffset: toOffset(next_offset),
        skippedTo: toOffset(skipped_to),
        topicId: topic_id ?? undefined,
        leaderEpoch: leader_epoch ?? undefined,
        claim,
      },
    ]),
  );

const toOffset = (text: string | null) => (text === null ? undefined : BigInt(text));

/** Kafka's way to say that an epoch is not known. */
export const noEpoch = -1;

/**
 * The stored offsets of consumer groups: everything before a partition's stored offset is stored, or has a dead letter. Every
 * query for offsets is here, except the one that also inserts orders (`order-sql.ts`). All functions reject with the driver's
 * error.
 */
export const createOffsets = (sql: Sql) => ({
  /** Claims the partitions: from now on nothing is written for their former owners. Returns their stored offsets. */
  async claim(
    { groupId, topic }: Group,
    partitions: readonly number[],
    claim: string,
  ): Promise<Map<number, StoredOffset>> {
    const rows = await sql.unsafe<Row[]>(
      `insert into consumed_offsets (group_id, topic, partition, claim)
        select $1, $2, partition, $4 from unnest($3::bigint[]) as partition order by partition
        on conflict (group_id, topic, partition) do update set claim = excluded.claim
        returning ${columns}`,
      [groupId, topic, partitions as never, claim],
      { prepare: true },
    );
    return toStoredOffsets(rows);
  },

  /**
   * Sets the stored offsets to where an assignment begins, and forgets the group's dead letters of messages that Kafka has deleted. Of an
   * earlier topic it forgets all: the dead-letter topic may have been recreated too. Returns the partitions that `claim`
   * still holds; the others are left as they are. A topic id that is not known now stays as it was.
   */
  async begin(
    { groupId, topic }: Group,
    topicId: string | undefined,
    starts: readonly Begin[],
    claim: string,
  ): Promise<number[]> {
    const rows = await sql.unsafe<{ partition: number }[]>(
      `with starts as materialized (
        select * from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::text[])
          as starts (partition, start, low, is_past_skip, epoch, is_new_topic)
      ), begun as (
        update consumed_offsets c
        set next_offset = start, skipped_to = case when is_past_skip = 'true' then null else skipped_to end,
          topic_id = coalesce($9, topic_id), leader_epoch = nullif(epoch, ${noEpoch})
        from starts
        where group_id = $1 and topic = $2 and c.partition = starts.partition and claim = $10
        returning c.partition, low, is_new_topic
      ), pruned as (
        delete from dead_lettered_messages m using begun
        where m.group_id = $1 and m.topic = $2 and m.partition = begun.partition
          and (message_offset < low or is_new_topic = 'true')
      )
      select partition from begun`,
      [
        groupId,
        topic,
        starts.map(({ partition }) => partition) as never,
        starts.map(({ start }) => String(start)) as never,
        starts.map(({ low }) => String(low)) as never,
        starts.map(({ isPastSkip }) => String(isPastSkip)) as never,
        starts.map(({ leaderEpoch = noEpoch }) => leaderEpoch) as never,
        starts.map(({ isNewTopic }) => String(isNewTopic)) as never,
        topicId ?? null,
        claim,
      ],
      { prepare: true },
    );
    return rows.map(({ partition }) => partition);
  },

  /**
   * Moves the stored offset to the end of the range, and remembers the dead letters in the range. False, and nothing is
   * written, unless the range begins at the stored offset and its claim holds.
   */
  async move(range: FencedRange, letters: readonly DeadLettered[] = []): Promise<boolean> {
    const rows = await sql.unsafe(
      `with moved as (
        update consumed_offsets set next_offset = $5, claim = $7, leader_epoch = $8
        where group_id = $1 and topic = $2 and partition = $3 and next_offset = $4 and claim in ($6, $7)
        returning group_id, topic, partition
      ), lettered as (
        insert into dead_lettered_messages (group_id, topic, partition, message_offset, digest)
        select group_id, topic, partition, message_offset, digest
        from unnest($9::bigint[], $10::text[]) as letter (message_offset, digest), moved
        on conflict (group_id, topic, partition, message_offset) do update set digest = excluded.digest
      )
      select from moved`,
      [
        ...rangeParameters(range),
        letters.map(({ offset }) => offset) as never,
        letters.map(({ digest }) => digest) as never,
      ],
      { prepare: true },
    );
    return rows.length === 1;
  },

  /**
   * Moves stored offsets back to the targets. Members that have the partitions are fenced off, and begin again there. A stored
   * offset that is not past its target stays.
   */
  async rewind({ groupId, topic }: Group, targets: readonly Target[]): Promise<void> {
    await sql.unsafe(
      `update consumed_offsets c
        set next_offset = target, claim = gen_random_uuid(),
          skipped_to = case when skipped_to <= target then skipped_to end
        from unnest($3::bigint[], $4::bigint[]) as targets (partition, target)
        where group_id = $1 and topic = $2 and c.partition = targets.partition and next_offset > target`,
      targetParameters({ groupId, topic }, targets),
      { prepare: true },
    );
  },

  /**
   * Moves stored offsets forward to the targets, which are those of the topic with this id. What lies between is skipped, whatever
   * offset the group has committed. A stored offset of an earlier topic is replaced.
   */
  async skip(
    { groupId, topic }: Group,
    targets: readonly Target[],
    topicId: string | undefined,
  ): Promise<void> {
    await sql.unsafe(
      `insert into consumed_offsets as c (group_id, topic, partition, next_offset, skipped_to, topic_id, claim)
        select $1, $2, partition, target, target, $5, gen_random_uuid()
        from unnest($3::bigint[], $4::bigint[]) as targets (partition, target) order by partition
        on conflict (group_id, topic, partition) do update
        set next_offset = excluded.next_offset, skipped_to = excluded.skipped_to, claim = excluded.claim,
          topic_id = coalesce(excluded.topic_id, c.topic_id), leader_epoch = null
        where c.next_offset is null or c.next_offset < excluded.next_offset or c.topic_id <> excluded.topic_id`,
      [...targetParameters({ groupId, topic }, targets), topicId ?? null],
      { prepare: true },
    );
  },

  /** The stored offsets of all partitions that were ever claimed. */
  async read({ groupId, topic }: Group): Promise<Map<number, StoredOffset>> {
    const rows = await sql.unsafe<Row[]>(
      `select ${columns} from consumed_offsets where group_id = $1 and topic = $2`,
      [groupId, topic],
      { prepare: true },
    );
    return toStoredOffsets(rows);
  },

  /** The offsets of those messages that have a dead letter of this group. */
  async findDeadLettered(
    { groupId, topic }: Group,
    partition: number,
    messages: readonly DeadLettered[],
  ): Promise<Set<string>> {
    const rows = await sql.unsafe<{ message_offset: string }[]>(
      `select message_offset from dead_lettered_messages
        join unnest($4::bigint[], $5::text[]) as sent (message_offset, digest) using (message_offset, digest)
        where group_id = $1 and topic = $2 and partition = $3`,
      [
        groupId,
        topic,
        partition,
        messages.map(({ offset }) => offset) as never,
        messages.map(({ digest }) => digest) as never,
      ],
      { prepare: true },
    );
    return new Set(rows.map((row) => row.message_offset));
  },
});

export type Offsets = ReturnType<typeof createOffsets>;

const targetParameters = ({ groupId, topic }: Group, targets: readonly Target[]) => [
  groupId,
  topic,
  targets.map(({ partition }) => partition) as never,
  targets.map(({ offset }) => String(offset)) as never,
];

/** $1 to $8 of a fenced write. */
const rangeParameters = (range: FencedRange) => [
  range.groupId,
  range.topic,
  range.partition,
  String(range.from),
  String(range.to),
  range.claim,
  range.nextClaim,
  range.leaderEpoch ?? null,
];
