import type { Admin, Kafka } from 'kafkajs';
import { retry } from '../async/retry.ts';
import type { Log } from '../observability/log.ts';
import type { ServiceState } from '../observability/service-state.ts';
import type { Group, Offsets } from '../postgres/offsets.ts';
import { createFenceError } from './fence.ts';
import type { Start } from './partition-queues.ts';
import { type StartOffset, startOffset } from './start-offset.ts';

export type Positions = ReturnType<typeof createPositions>;

type Options = {
  kafka: Kafka;
  group: Group;
  offsets: Pick<Offsets, 'claim' | 'begin'>;
  postgres: ServiceState;
  kafkaState: ServiceState;
  /** Called for each partition; `high` is the offset after its last message. */
  started: (partition: number, start: StartOffset, high: bigint) => void;
  log: Log;
};

/** Finds the offsets at which the partitions of an assignment begin, from those in PostgreSQL and in Kafka. */
export const createPositions = ({ kafka, group, offsets, postgres, kafkaState, started, log }: Options) => {
  let admin: Admin | undefined;

  const disconnect = async () => {
    const leaving = admin;
    admin = undefined;
    await leaving?.disconnect().catch((error) => log.debug({ error }, 'not disconnected'));
  };

  /** The group's committed offset, and the log's ends, of each partition. */
  const readKafka = async (partitions: readonly number[]) => {
    const { groupId, topic } = group;
    try {
      admin ??= kafka.admin();
      await admin.connect();
      const [logs, committed] = await Promise.all([
        admin.fetchTopicOffsets(topic),
        admin.fetchOffsets({ groupId, topics: [topic] }),
      ]);
      return partitions.map((partition) => {
        const log = logs.find((one) => one.partition === partition);
        if (!log) throw new Error(`Kafka does not know partition ${partition} of ${topic} yet`);
        const offset = committed[0]?.partitions.find((one) => one.partition === partition)?.offset ?? '-1';
        return {
          partition,
          committed: BigInt(offset) < 0n ? undefined : BigInt(offset),
          low: BigInt(log.low),
          high: BigInt(log.high),
        };
      });
    } catch (error) {
      // The next attempt gets a new client, which reads again which brokers lead the partitions.
      await disconnect();
      throw error;
    }
  };

  const report = (partition: number, { start, reason, again, deleted }: StartOffset) => {
    const place = { topic: group.topic, partition, startOffset: Number(start), rereadOffsets: Number(again) };
    if (reason === 'database-behind')
      log.warn(place, 'PostgreSQL is behind the committed offset: reading again from the stored offset');
    if (reason === 'committed-behind')
      log.info(place, 'the committed offset is behind PostgreSQL: reading again from there');
    if (reason === 'unknown')
      log.warn(place, 'PostgreSQL or Kafka has no offset of this group: reading from the beginning');
    if (reason === 'past-end')
      log.warn(
        place,
        'the log ends before the stored offset, so it is a new one: reading from the beginning',
      );
    if (deleted > 0n)
      log.warn(
        { ...place, deletedRecords: Number(deleted) },
        'Kafka has deleted records that this group never read: they are lost unless they are sent again',
      );
  };

  return {
    /**
     * Claims the partitions, and sets their stored offsets to where reading begins. Waits without end for a service that is
     * down. Rejects when `signal` is aborted, or with a fence when another member has claimed a partition meanwhile.
     */
    async begin(
      partitions: readonly number[],
      signal: AbortSignal,
    ): Promise<{ claim: string; starts: Start[] }> {
      const claim: string = crypto.randomUUID();
      if (partitions.length === 0) return { claim, starts: [] };
      const query = <T>(run: () => Promise<T>) => retry(run, { signal, failed: postgres.markDown });
      const stored = await query(() => offsets.claim(group, partitions, claim));
      postgres.markUp();
      // Kafka comes after the claim: from then on a former owner of the partitions stores and commits nothing new.
      const known = await retry(() => readKafka(partitions), { signal, failed: kafkaState.markDown });
      kafkaState.markUp();
      const found = known.map(({ partition, ...logs }) => {
        const { nextOffset, skippedTo } = stored.get(partition) ?? {};
        return { partition, ...logs, ...startOffset({ stored: nextOffset, skippedTo, ...logs }) };
      });
      const begun = new Set(await query(() => offsets.begin(group, found, claim)));
      for (const { partition, start } of found)
        if (!begun.has(partition)) throw createFenceError({ reason: 'claim', partition, expected: start });
      for (const { partition, high, ...start } of found) {
        report(partition, start);
        started(partition, start, high);
      }
      return {
        claim,
        starts: found.map(({ partition, start, committed }) => ({ partition, start, committed })),
      };
    },
    stop: disconnect,
  };
};
