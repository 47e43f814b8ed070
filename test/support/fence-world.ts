/**
 * A model for the property that nothing is lost: members of a group on a real database, and a Kafka that is a list. Each call to
 * the database and each sending of dead letters waits until it is released, so that they can be tried in any order.
 */
import type { EachBatchPayload } from 'kafkajs';
import type { DeadLetter } from '../../src/ingest/dead-letter.ts';
import { createIngest } from '../../src/ingest/ingest.ts';
import { createPartitionQueues, type PartitionQueues } from '../../src/ingest/partition-queues.ts';
import { createPositions } from '../../src/ingest/positions.ts';
import type { Epoch } from '../../src/kafka/epoch-ends.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { combineSaves } from '../../src/postgres/combined-saves.ts';
import { createOffsets, type StoredOffset } from '../../src/postgres/offsets.ts';
import { createStore } from '../../src/postgres/store.ts';
import { silent, type testDatabase } from './kafka-and-postgres.ts';
import { parseOrder, parser } from './order-parser.ts';

/** `before`: the call fails without an effect. `after`: it takes effect, and the answer is lost. */
export type Fault = 'none' | 'before' | 'after';

const group = { groupId: 'group', topic: 'orders' };
const tables = ['orders', 'deliveries', 'payments', 'items', 'consumed_offsets', 'dead_lettered_messages'];

/** `name` is that of the log in which the record was appended: of its topic, partition and leader. */
type Log = {
  records: { value: string; name: string; leaderEpoch: number }[];
  epochs: { leaderEpoch: number; start: number }[];
  name: string;
};

const emptyLogs = (partitions: number): Log[] =>
  Array.from({ length: partitions }, () => ({
    records: [],
    epochs: [{ leaderEpoch: 0, start: 0 }],
    name: crypto.randomUUID(),
  }));

const append = (log: Log | undefined, values: string[]) => {
  const { leaderEpoch = 0 } = log?.epochs.at(-1) ?? {};
  for (const value of values) log?.records.push({ value, name: `${log.name}/${leaderEpoch}`, leaderEpoch });
};

/** As a leader answers OffsetForLeaderEpoch. */
const endOf = (log: Log | undefined, requested: number) => {
  const { records = [], epochs = [] } = log ?? {};
  const next = epochs.find(({ leaderEpoch }) => leaderEpoch > requested);
  const last = epochs.findLast(({ leaderEpoch }) => leaderEpoch <= requested);
  if (!next && last?.leaderEpoch !== requested) return undefined;
  return {
    leaderEpoch: last?.leaderEpoch ?? requested,
    end: BigInt(next?.start ?? records.length),
  };
};

type Database = Awaited<ReturnType<typeof testDatabase>>;

export const createFenceWorld = async ({ sql }: Database, partitions: number) => {
  await sql.unsafe(`truncate ${tables.join()} cascade`);
  for (const table of tables)
    await sql.unsafe(`drop table if exists kept_${table}; create table kept_${table} as table ${table}`);
  let log = emptyLogs(partitions);
  let topicId: string = crypto.randomUUID();
  /** How often offsets lost their meaning: the database was set back, the topic recreated, or a log truncated. */
  let upheavals = 0;
  const committed = new Map<number, bigint>();
  const letters = new Set<string>();
  const pending: ((fault: Fault) => Promise<void>)[] = [];
  const members = new Set<Member>();
  const store = createStore(sql);
  const offsets = createOffsets(sql);

  const later = <T>(call: () => T) => new Promise<T>((resolve) => pending.push(async () => resolve(call())));

  const held =
    <A extends unknown[], T>(call: (...given: A) => Promise<T>) =>
    (...given: A) =>
      new Promise<T>((resolve, reject) => {
        pending.push(async (fault) => {
          if (fault === 'before') return reject(new Error('lost'));
          try {
            const answer = await call(...given);
            if (fault === 'after') reject(new Error('its answer was lost'));
            else resolve(answer);
          } catch (error) {
            reject(error);
          }
        });
      });

  /** The messages before `offset` that are neither stored nor have a dead letter. */
  const lostBefore = async (partition: number, offset: bigint): Promise<string[]> => {
    const before = (log[partition]?.records.slice(0, Number(offset)) ?? []).map(({ value, name }, at) => {
      const parsed = parseOrder(Buffer.from(value));
      return { value, at, name, uid: 'order' in parsed ? parsed.order.order_uid : '' };
    });
    const stored = await store.findAll(before.map(({ uid }) => uid));
    const lost = before
      .filter(({ value, name, at, uid }) => stored.get(uid) !== value && !letters.has(`${name}/${at}`))
      .map(({ at }) => `${partition}/${at}`);
    return offset > BigInt(before.length) ? [`${offset} is past the end of ${partition}`, ...lost] : lost;
  };

  const kafkaOffsets = {
    topicId: () => later(() => topicId),
    leaders: () => later(() => ({ groups: [[...log.keys()]], leaderless: [] })),
    committed: () => later(() => new Map(committed)),
    ends: (asked: readonly number[]) =>
      later(() => ({
        known: asked.map((partition) => ({
          partition,
          low: 0n,
          high: BigInt(log[partition]?.records.length ?? 0),
        })),
        failed: new Map<number, unknown>(),
      })),
    epochEnds: (epochs: readonly Epoch[]) =>
      later(
        () =>
          new Map(
            epochs.map(({ partition, leaderEpoch }) => [partition, endOf(log[partition], leaderEpoch)]),
          ),
      ),
  };

  /** One for each process, whose members come one after another. */
  const createProcess = () =>
    createPositions({
      kafkaOffsets,
      group,
      offsets: { claim: held(offsets.claim), begin: held(offsets.begin) },
      postgres: createServiceState('PostgreSQL', silent),
      kafkaState: createServiceState('Kafka', silent),
      health: { markDown() {}, markUp() {} },
      started: () => {},
      log: silent,
    });

  const createMember = (starter = createProcess()) => {
    let seen = upheavals;
    let began: string | undefined;
    let queues: PartitionQueues | undefined;
    let isStopped = false;
    const positions = new Map<number, number>();
    const busy = new Set<number>();
    const faults: string[] = [];
    const postgres = createServiceState('PostgreSQL', silent);
    const kafkaState = createServiceState('Kafka', silent);
    const process = createIngest({
      group,
      parser,
      saveBatch: combineSaves({ saveBatches: held(store.saveBatches) }, { log: silent }),
      store: {
        findAll: held(store.findAll),
        findErased: held(store.findErased),
      },
      offsets: {
        move: held(offsets.move),
        read: held(offsets.read),
        findDeadLettered: held(offsets.findDeadLettered),
      },
      deadLetters: {
        send: held(async (sent: readonly DeadLetter[]) => {
          for (const { message } of sent) letters.add(`${message.timestamp}/${message.offset}`);
        }),
      },
      postgres,
      kafka: kafkaState,
    });
    const commit = async (due: { partition: number; offset: string }[]) => {
      // Kafka refuses former members. Of a topic that was recreated under a member it accepts any offset.
      if (isStopped) throw new Error('refused');
      const checked = seen;
      const checks = due.map(({ partition, offset }) => lostBefore(partition, BigInt(offset)));
      // At once, as Kafka refuses a former member's commit that arrives after its successor's.
      for (const { partition, offset } of due) committed.set(partition, BigInt(offset));
      const lost = (await Promise.all(checks)).flat();
      if (checked === upheavals) faults.push(...lost.map((one) => `committed: ${one}`));
    };
    const member = {
      faults,
      hasFailed: false,
      async join(assigned: number[]) {
        const next = createPartitionQueues({
          topic: group.topic,
          persistBatch: async (batch, signal) => void (await process(batch, signal)),
          checkLog: starter.checkLog,
          commitOffsets: commit,
          committed: () => {},
          fetchOnly: () => {},
          log: silent,
        });
        queues = next;
        void next.failed.then(() => {
          member.hasFailed = true;
        });
        try {
          seen = upheavals;
          began = undefined;
          await starter.begin(assigned, next.signal, (starts, claim, topicId) => {
            began ??= topicId;
            for (const { partition, start } of starts) positions.set(partition, Number(start));
            next.begin(starts, claim);
          });
        } catch {
          member.hasFailed = true;
        }
      },
      /** Fetches from the member's position, or from another offset as a client with a bug would. */
      deliver(partition: number, count: number, wrongFrom?: number) {
        const position = positions.get(partition);
        if (!queues || isStopped || position === undefined || busy.has(partition)) return;
        const from = wrongFrom ?? position;
        const records = log[partition]?.records.slice(from, from + count) ?? [];
        if (records.length === 0) return;
        const messages = records.map(({ value, name, leaderEpoch }, index) => ({
          key: null,
          value: Buffer.from(value),
          timestamp: name,
          headers: {},
          offset: String(from + index),
          batchContext: { leaderEpoch },
        }));
        busy.add(partition);
        const payload = {
          batch: {
            topic: group.topic,
            partition,
            fetchedOffset: String(from),
            messages,
            rawMessages: messages,
            lastOffset: () => String(from + records.length - 1),
          },
          resolveOffset: (offset: string) => positions.set(partition, Number(offset) + 1),
          heartbeat: async () => {},
          commitOffsetsIfNecessary: async (due: {
            topics: { partitions: { partition: number; offset: string }[] }[];
          }) => commit(due.topics[0]?.partitions ?? []),
          isRunning: () => !isStopped,
        };
        void queues.accept(payload as unknown as EachBatchPayload).finally(() => busy.delete(partition));
      },
      /** Looks whether the topic was recreated, as a member does every few seconds. */
      async look() {
        if (began !== undefined && (await starter.isRecreated(began))) {
          member.hasFailed = true;
          queues?.abandon();
        }
      },
      stop() {
        isStopped = true;
        queues?.abandon();
        members.delete(member);
      },
      isBusy: () => (queues?.inFlight() ?? 0) > 0 || busy.size > 0,
    };
    members.add(member);
    return member;
  };
  type Member = ReturnType<typeof createMember>;

  const isOfLog = ({ topicId: storedId, leaderEpoch, nextOffset = 0n }: StoredOffset, log: Log | undefined) =>
    storedId === topicId &&
    (leaderEpoch === undefined || (endOf(log, leaderEpoch)?.end ?? -1n) >= nextOffset);

  return {
    createProcess,
    createMember,
    append: (partition: number, value: string) => append(log[partition], [value]),
    end: (partition: number) => log[partition]?.records.length ?? 0,
    committed: (partition: number) => Number(committed.get(partition) ?? -1),
    resetCommit: (partition: number, offset: number) => committed.set(partition, BigInt(offset)),
    pending: () => pending.length,
    async release(which: number, fault: Fault) {
      const [call] = pending.splice(which % Math.max(1, pending.length), 1);
      await call?.(fault);
      await Bun.sleep(0);
    },
    async keep() {
      for (const table of tables)
        await sql.unsafe(`delete from kept_${table}; insert into kept_${table} table ${table}`);
    },
    /** Sets the database back to when it was last kept. */
    async setBack() {
      upheavals++;
      await sql.begin(async (tx) => {
        await tx.unsafe(`truncate ${tables.join()} cascade`);
        for (const table of tables)
          await tx.unsafe(`insert into ${table} overriding system value table kept_${table}`);
      });
    },
    rewind: (partition: number, offset: number) =>
      offsets.rewind(group, [{ partition, offset: BigInt(offset) }]),
    /** Deletes the topic and creates it again, with these messages. */
    recreate(values: string[][]) {
      upheavals++;
      topicId = crypto.randomUUID();
      log = emptyLogs(partitions);
      for (const [partition, added] of values.entries()) append(log[partition], added);
      committed.clear();
    },
    /** Changes the epoch of records as a disk might. A leader's list of epochs is elsewhere, and right. */
    damageEpochs(partition: number, from: number, to: number, leaderEpoch: number) {
      for (const record of log[partition]?.records.slice(from, to) ?? []) record.leaderEpoch = leaderEpoch;
    },
    /**
     * Another replica becomes the leader, which has the log only up to `end`, and appends these messages. If it has the whole log,
     * it is an ordinary election.
     */
    elect(partition: number, end: number, values: string[]) {
      const old = log[partition] as Log;
      if (end < old.records.length) upheavals++;
      old.records.length = Math.min(end, old.records.length);
      const start = old.records.length;
      const leaderEpoch = (old.epochs.at(-1)?.leaderEpoch ?? 0) + 1;
      old.epochs = [...old.epochs.filter((epoch) => epoch.start < start), { leaderEpoch, start }];
      append(old, values);
    },
    /**
     * The messages before the stored offsets that are neither stored nor have a dead letter; without the offsets of which the next
     * start finds that they are of another log.
     */
    async lost(): Promise<string[]> {
      const found: string[] = [];
      for (const [partition, stored] of await offsets.read(group))
        if (stored.nextOffset !== undefined && isOfLog(stored, log[partition]))
          found.push(...(await lostBefore(partition, stored.nextOffset)));
      return found;
    },
    lostBefore,
    storedOffset: async (partition: number) =>
      Number((await offsets.read(group)).get(partition)?.nextOffset ?? -1),
  };
};
