/**
 * A model for the property that nothing is lost: members of a group on a real database, and a Kafka that is a list. Each call to
 * the database and each sending of dead letters waits until it is released, so that they can be tried in any order.
 */
import type { EachBatchPayload } from 'kafkajs';
import type { DeadLetter } from '../../src/ingest/dead-letter.ts';
import { createIngest } from '../../src/ingest/ingest.ts';
import { createPartitionQueues, type PartitionQueues } from '../../src/ingest/partition-queues.ts';
import { createPositions } from '../../src/ingest/positions.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { createStore } from '../../src/postgres/store.ts';
import { silent, type testDatabase } from './kafka-and-postgres.ts';
import { parseOrder, parser } from './order-parser.ts';

/** `before`: the call fails without an effect. `after`: it takes effect, and the answer is lost. */
export type Fault = 'none' | 'before' | 'after';

const group = { groupId: 'group', topic: 'orders' };
const tables = ['orders', 'deliveries', 'payments', 'items', 'consumed_offsets', 'dead_lettered_messages'];

type Database = Awaited<ReturnType<typeof testDatabase>>;

export const createFenceWorld = async ({ sql }: Database, partitions: number) => {
  await sql.unsafe(`truncate ${tables.join()} cascade`);
  for (const table of tables)
    await sql.unsafe(`drop table if exists kept_${table}; create table kept_${table} as table ${table}`);
  let log: string[][] = Array.from({ length: partitions }, () => []);
  /** How often the topic was recreated. */
  let era = 0;
  /** Of each partition the era of its stored offset: the one in which it was claimed last. */
  const claimedIn = Array(partitions).fill(0) as number[];
  let keptClaimedIn = claimedIn;
  let setBacks = 0;
  const committed = new Map<number, bigint>();
  const letters = new Set<string>();
  const pending: ((fault: Fault) => Promise<void>)[] = [];
  const members = new Set<Member>();
  const store = createStore(sql);
  const offsets = createOffsets(sql);

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
    const before = (log[partition]?.slice(0, Number(offset)) ?? []).map((value, at) => {
      const parsed = parseOrder(Buffer.from(value));
      return { value, at, uid: 'order' in parsed ? parsed.order.order_uid : '' };
    });
    const stored = await store.findAll(before.map(({ uid }) => uid));
    const lost = before
      .filter(({ value, at, uid }) => stored.get(uid) !== value && !letters.has(`${era}/${partition}/${at}`))
      .map(({ at }) => `${partition}/${at}`);
    return offset > BigInt(before.length) ? [`${offset} is past the end of ${partition}`, ...lost] : lost;
  };

  const createMember = () => {
    const began = era;
    const seen = setBacks;
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
      store: {
        saveBatch: held(store.saveBatch),
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
          for (const { message } of sent) letters.add(`${began}/${message.partition}/${message.offset}`);
        }),
      },
      postgres,
      kafka: kafkaState,
    });
    const commit = async (due: { partition: number; offset: string }[]) => {
      // Kafka refuses former members, and topics that are deleted.
      if (isStopped || began !== era) throw new Error('refused');
      const checks = due
        .filter(({ partition }) => seen === setBacks && claimedIn[partition] === era)
        .map(({ partition, offset }) => lostBefore(partition, BigInt(offset)));
      // At once, as Kafka refuses a former member's commit that arrives after its successor's.
      for (const { partition, offset } of due) committed.set(partition, BigInt(offset));
      const lost = (await Promise.all(checks)).flat();
      if (seen === setBacks && began === era) faults.push(...lost.map((one) => `committed: ${one}`));
    };
    const kafkaOffsets = {
      leaders: async () => ({ groups: [[...log.keys()]], leaderless: [] }),
      committed: async () => new Map(committed),
      ends: async (asked: readonly number[]) => ({
        known: asked.map((partition) => ({
          partition,
          low: 0n,
          high: BigInt(log[partition]?.length ?? 0),
        })),
        failed: new Map<number, unknown>(),
      }),
    };

    const finder = createPositions({
      kafkaOffsets,
      group,
      offsets: { claim: held(offsets.claim), begin: held(offsets.begin) },
      postgres,
      kafkaState,
      health: { failed() {}, works() {} },
      started: () => {},
      log: silent,
    });
    const member = {
      faults,
      hasFailed: false,
      async join(assigned: number[]) {
        const next = createPartitionQueues({
          topic: group.topic,
          process: async (batch, signal) => void (await process(batch, signal)),
          commitOffsets: commit,
          committed: () => {},
          log: silent,
        });
        queues = next;
        void next.failed.then(() => {
          member.hasFailed = true;
        });
        try {
          await finder.begin(assigned, next.signal, (starts, claim) => {
            if (began === era) for (const { partition } of starts) claimedIn[partition] = era;
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
        if (!queues || isStopped || position === undefined || began !== era || busy.has(partition)) return;
        const from = wrongFrom ?? position;
        const values = log[partition]?.slice(from, from + count) ?? [];
        if (values.length === 0) return;
        const messages = values.map((value, index) => ({
          key: null,
          value: Buffer.from(value),
          timestamp: String(began),
          headers: {},
          offset: String(from + index),
        }));
        busy.add(partition);
        const payload = {
          batch: {
            topic: group.topic,
            partition,
            fetchedOffset: String(from),
            messages,
            lastOffset: () => String(from + values.length - 1),
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

  return {
    createMember,
    append: (partition: number, value: string) => log[partition]?.push(value),
    end: (partition: number) => log[partition]?.length ?? 0,
    committed: (partition: number) => Number(committed.get(partition) ?? -1),
    resetCommit: (partition: number, offset: number) => committed.set(partition, BigInt(offset)),
    pending: () => pending.length,
    async release(which: number, fault: Fault) {
      const [call] = pending.splice(which % Math.max(1, pending.length), 1);
      await call?.(fault);
      await Bun.sleep(0);
    },
    async keep() {
      keptClaimedIn = [...claimedIn];
      for (const table of tables)
        await sql.unsafe(`delete from kept_${table}; insert into kept_${table} table ${table}`);
    },
    /**
     * Sets the database back to when it was last kept, unless that is from before the topic was recreated: offsets alone do not
     * distinguish the old topic from the new one.
     */
    async setBack() {
      if (keptClaimedIn.some((kept) => kept !== era)) return;
      setBacks++;
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
      era++;
      log = values;
      committed.clear();
    },
    /** The messages before the stored offsets that are neither stored nor have a dead letter. */
    async lost(): Promise<string[]> {
      const found: string[] = [];
      for (const [partition, { nextOffset }] of await offsets.read(group))
        if (claimedIn[partition] === era && nextOffset !== undefined)
          found.push(...(await lostBefore(partition, nextOffset)));
      return found;
    },
    lostBefore,
    storedOffset: async (partition: number) =>
      Number((await offsets.read(group)).get(partition)?.nextOffset ?? -1),
  };
};

export type FenceWorld = Awaited<ReturnType<typeof createFenceWorld>>;
