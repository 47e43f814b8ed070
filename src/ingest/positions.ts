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
  /** Is called for each partition, with its newest message before `high`. */
  started: (partition: number, start: StartOffset, high: bigint) => void;
  log: Log;
};

/** Finds where the partitions of an assignment have to be read from, in PostgreSQL and in Kafka. */
export const createPositions = ({ kafka, group, offsets, postgres, kafkaState, started, log }: Options) => {
  let admin: Admin | undefined;

  const disconnect = async () => {
    const leaving = admin;
    admin = undefined;
    await leaving?.disconnect().catch((error) => log.debug({ error }, 'not disconnected'));
  };

  /** The group's committed offset, and where the log begins and ends, by partition. */
  const askKafka = async (partitions: readonly number[]) => {
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
      // With another client the next attempt learns anew who leads the partitions.
      await disconnect();
      throw error;
    }
  };

  const report = (partition: number, { start, reason, again, deleted }: StartOffset) => {
    const place = { topic: group.topic, partition, start: String(start), offsets: String(again) };
    if (reason === 'database-behind')
      log.warn(place, 'PostgreSQL is behind the committed offset: what it lacks is read again');
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
        { ...place, deleted: String(deleted) },
        'Kafka has deleted records that this group never read: they are lost unless they are sent again',
      );
  };

  return {
    /**
     * Takes the partitions over, and sets their stored offsets to where reading begins. A service that is away is waited for,
     * for ever. Rejects when `signal` is aborted, or with a fence when another member has taken a partition over meanwhile.
     */
    async begin(
      partitions: readonly number[],
      signal: AbortSignal,
    ): Promise<{ claim: string; starts: Start[] }> {
      const claim: string = crypto.randomUUID();
      if (partitions.length === 0) return { claim, starts: [] };
      const ask = <T>(query: () => Promise<T>) => retry(query, { signal, failed: postgres.markDown });
      const stored = await ask(() => offsets.claim(group, partitions, claim));
      postgres.markUp();
      // Asked for after the claim: what the former owner stores until then is known, and later it stores nothing.
      const known = await retry(() => askKafka(partitions), { signal, failed: kafkaState.markDown });
      kafkaState.markUp();
      const found = known.map(({ partition, ...logs }) => {
        const { nextOffset, skippedTo } = stored.get(partition) ?? {};
        return { partition, ...logs, ...startOffset({ stored: nextOffset, skippedTo, ...logs }) };
      });
      const begun = new Set(await ask(() => offsets.begin(group, found, claim)));
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
