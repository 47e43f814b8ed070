import { retry, sleep } from '../async/retry.ts';
import { timeoutError } from '../async/timeouts.ts';
import type { Log } from '../observability/log.ts';
import type { ServiceState } from '../observability/service-state.ts';
import type { Group, Offsets } from '../postgres/offsets.ts';
import { type ComparedLog, compareLogs, compareTopics, epochOf } from './compare-logs.ts';
import { createLogCheck, type LogCheck } from './divergence.ts';
import { createFenceError } from './fence.ts';
import type { KafkaOffsets } from './kafka-offsets.ts';
import { noLeader, type PartitionHealth } from './partition-health.ts';
import type { Start } from './partition-queues.ts';
import { type StartOffset, startOffset } from './start-offset.ts';

/** How soon a partition that could not be asked is asked again. */
const retryMs = 1_000;
/** After this time without an answer PostgreSQL counts as unavailable, and Kafka is asked whether it is available. */
const slowQueryMs = 5_000;

export type Positions = ReturnType<typeof createPositions>;

type Options = {
  kafkaOffsets: Pick<KafkaOffsets, 'topicId' | 'leaders' | 'committed' | 'ends' | 'epochEnds'>;
  group: Group;
  offsets: Pick<Offsets, 'claim' | 'begin'>;
  postgres: ServiceState;
  kafkaState: ServiceState;
  health: Pick<PartitionHealth, 'markDown' | 'markUp'>;
  /** Called for each partition; `high` is the offset after its last message. */
  started: (partition: number, start: StartOffset, high: bigint) => void;
  log: Log;
  /** For tests. */
  slowQueryMs?: number;
};

/** Finds the offsets at which the partitions of an assignment begin, from those in PostgreSQL and in Kafka. */
export const createPositions = ({
  kafkaOffsets,
  group,
  offsets,
  postgres,
  kafkaState,
  health,
  started,
  log,
  slowQueryMs: slowMs = slowQueryMs,
}: Options) => {
  const report = (partition: number, { start, reason, again, deleted }: StartOffset) => {
    const place = { topic: group.topic, partition, startOffset: Number(start), rereadOffsets: Number(again) };
    if (reason === 'database-behind')
      log.warn(place, 'PostgreSQL is behind the committed offset: reading again from the stored offset');
    if (reason === 'committed-behind')
      log.info(place, 'the committed offset is behind PostgreSQL: reading again from there');
    if (reason === 'unknown')
      log.warn(
        place,
        'PostgreSQL or Kafka has no offset of this group for this topic: reading from the beginning',
      );
    if (reason === 'past-end')
      log.warn(
        place,
        'the log ends before the stored offset, so it is not the same: reading from the beginning',
      );
    if (reason === 'recreated')
      log.warn(place, 'the topic was recreated: reading the new one from its beginning');
    if (reason === 'diverged')
      log.warn(
        { ...place, lostOffsets: Number(again) },
        'Kafka has lost records that were stored, and assigns their offsets again: reading from where the log differs',
      );
    if (deleted > 0n)
      log.warn(
        { ...place, deletedRecords: Number(deleted) },
        'Kafka has deleted records that this group never read: they are lost unless they are sent again',
      );
  };

  let checkLog = createLogCheck({ kafkaOffsets, health });

  return {
    checkLog: ((read, signal) => checkLog(read, signal)) satisfies LogCheck as LogCheck,
    /** Whether the topic is another one by now than that with this id. Rejects with the client's error. */
    isRecreated: async (topicId: string): Promise<boolean> =>
      compareTopics(await kafkaOffsets.topicId(), topicId) === 'other',
    /**
     * Claims the partitions, sets their stored offsets to where reading begins, and calls `begun` for those whose leader has
     * answered. The others begin later, as soon as they have a leader. Waits without end for a service that is down. Resolves
     * when all have begun; rejects when `signal` is aborted, or with a fence when another member has claimed a partition meanwhile.
     */
    async begin(
      partitions: readonly number[],
      signal: AbortSignal,
      begun: (starts: Start[], claim: string, topicId: string | undefined) => void,
    ): Promise<void> {
      const claim: string = crypto.randomUUID();
      const pending = new Set(partitions);
      // The topic's id comes first: what is read after it is of this topic or of a later one, which the next look at the id finds.
      const readKafka = async () => {
        const topicId = await kafkaOffsets.topicId();
        const { groups } = await kafkaOffsets.leaders();
        return { topicId, groups, committed: await kafkaOffsets.committed([...pending]) };
      };
      /** While PostgreSQL does not answer nothing is fetched, which would show that Kafka does. */
      const reportSlowQuery = async (answered: AbortSignal) => {
        await sleep(slowMs, answered);
        if (answered.aborted) return;
        postgres.markDown(timeoutError(slowMs));
        // Also after PostgreSQL has answered: fetches report only once for each join that Kafka is available.
        await retry(readKafka, { signal, failed: kafkaState.markDown });
        if (!signal.aborted) kafkaState.markUp();
      };
      const query = async <T>(run: () => Promise<T>) => {
        const ended = new AbortController();
        reportSlowQuery(AbortSignal.any([signal, ended.signal])).catch((error) =>
          log.debug({ error }, 'Kafka is not asked any more'),
        );
        const answer = await retry(run, { signal, failed: postgres.markDown }).finally(() => ended.abort());
        postgres.markUp();
        return answer;
      };
      // Also without a partition: it ends the notice of a query that a rebalance has aborted.
      const stored = await query(() => offsets.claim(group, partitions, claim));

      const beginAll = async (logs: readonly ComparedLog[], { committed, topicId }: Known) => {
        if (logs.length === 0) return;
        const found = logs.map((one) => {
          const position = {
            ...one,
            committed: committed.get(one.partition),
            divergedAt: one.divergence?.at,
          };
          const start = startOffset(position);
          return {
            ...position,
            ...start,
            isNewTopic: start.reason === 'recreated',
            leaderEpoch: epochOf(one),
          };
        });
        const held = new Set(await query(() => offsets.begin(group, topicId, found, claim)));
        for (const { partition, start } of found)
          if (!held.has(partition)) throw createFenceError({ reason: 'claim', partition, expected: start });
        if (found.some(({ isNewTopic }) => isNewTopic)) checkLog = createLogCheck({ kafkaOffsets, health });
        for (const { partition, high, ...start } of found) {
          report(partition, start);
          started(partition, start, high);
          health.markUp('start', partition);
          pending.delete(partition);
        }
        const starts = found.map(({ partition, start, committed, leaderEpoch }) => {
          return { partition, start, committed, leaderEpoch };
        });
        begun(starts, claim, topicId);
      };

      // What is used of Kafka comes after the claim: from then on a former owner of the partitions stores and commits nothing new.
      while (pending.size > 0) {
        let hasFailed = false;
        const failed = (error: unknown) => {
          hasFailed = true;
          kafkaState.markDown(error);
        };
        const { groups, ...inKafka } = await retry(readKafka, { signal, failed });
        const asked = groups.map((group) => group.filter((partition) => pending.has(partition)));
        const led = new Set(asked.flat());
        for (const partition of pending)
          if (!led.has(partition)) health.markDown('leader', partition, noLeader);
        // Without a partition that can be fetched, no fetch will do it.
        if (hasFailed || led.size === 0) kafkaState.markUp();
        await Promise.all(
          asked.map(async (group) => {
            const { known, failed } = await kafkaOffsets.ends(group);
            const logs = await compareLogs(known, stored, inKafka.topicId, kafkaOffsets).catch((error) => {
              for (const { partition } of known) failed.set(partition, error);
              return [];
            });
            signal.throwIfAborted();
            for (const [partition, error] of failed) health.markDown('start', partition, error);
            await beginAll(logs, inKafka);
          }),
        );
        if (pending.size > 0) await sleep(retryMs, signal);
        signal.throwIfAborted();
      }
    },
  };
};

type Known = { committed: ReadonlyMap<number, bigint>; topicId: string | undefined };
