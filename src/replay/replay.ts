import type { Admin } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { KafkaOffsets } from '../ingest/kafka-offsets.ts';
import type { RetryKafka } from '../kafka/retry.ts';
import type { Group, Offsets, StoredOffset } from '../postgres/offsets.ts';
import type { Command, Position } from './options.ts';
import { distance, type Move, type Partition, planMoves } from './plan.ts';

const pollIntervalMs = 300;

type Options = {
  admin: Pick<Admin, 'listTopics' | 'fetchTopicOffsets' | 'fetchTopicOffsetsByTimestamp'>;
  kafkaOffsets: Pick<KafkaOffsets, 'topicId'>;
  retryKafka: RetryKafka;
  offsets: Pick<Offsets, 'read' | 'rewind' | 'skip'>;
  group: Group;
  /** Writes a line of the result. */
  write: (line: string) => void;
  /** Shows how far the consumers are. */
  progress: (text: string) => void;
  signal: AbortSignal;
};

/** Moves the stored offsets of a group. Resolves with false if nothing was moved because `--yes` is missing. */
export const replay = async (command: Command, options: Options): Promise<boolean> => {
  const { offsets, group, write } = options;
  const { direction, isDry, isConfirmed, shouldWait, position } = command;
  const { topicId, partitions } = await readPartitions(position, options);
  const moves = planMoves(command, group.topic, partitions);
  const isBack = direction === 'back';
  for (const move of moves) write(describeMove(move));
  const count = distance(moves);
  if (moves.length === 0) {
    write(
      `Nothing to move: no stored offset of ${group.groupId} in ${group.topic} is ${isBack ? 'after' : 'before'} it.`,
    );
    return true;
  }
  if (isDry) {
    write(`${count} offsets would be ${isBack ? 'read again' : 'skipped'}.`);
    return true;
  }
  if (!isBack && !isConfirmed) {
    write(`Nothing is moved: this skips ${count} offsets, which are never stored. Add --yes to confirm.`);
    return false;
  }
  const targets = moves.map(({ partition, to }) => ({ partition, offset: to }));
  if (isBack) await offsets.rewind(group, targets);
  else await offsets.skip(group, targets, topicId);
  write(`${count} offsets ${isBack ? 'are read again' : 'are skipped'}.`);
  if (isBack && shouldWait && (await areReadAgain(moves, options))) write('All of them have been read.');
  return true;
};

const describeMove = ({ partition, from, to }: Move) =>
  `partition ${partition}: from ${from} ${to < from ? 'back' : 'forward'} to ${to}`;

const readPartitions = async (
  position: Position,
  { admin, kafkaOffsets, retryKafka, offsets, group }: Options,
): Promise<{ topicId: string | undefined; partitions: Partition[] }> => {
  const { topic } = group;
  if (!(await retryKafka(() => admin.listTopics())).includes(topic))
    throw new Error(`there is no topic ${topic}: check KAFKA_TOPIC`);
  const topicId = await retryKafka(kafkaOffsets.topicId);
  const logs = await retryKafka(() => admin.fetchTopicOffsets(topic));
  const byTime =
    position.kind === 'time'
      ? await retryKafka(() => admin.fetchTopicOffsetsByTimestamp(topic, position.at))
      : [];
  const atTime = new Map(byTime.map(({ partition, offset }) => [partition, BigInt(offset)]));
  const stored = await offsets.read(group);
  const partitions = logs.map(({ partition, low, high }) => ({
    partition,
    low: BigInt(low),
    high: BigInt(high),
    stored: nextOffsetIn(topicId, stored.get(partition)),
    atTime: atTime.get(partition),
  }));
  return { topicId, partitions: partitions.sort((one, other) => one.partition - other.partition) };
};

/** The stored offset, if it is one of the topic with this id, as far as is known. */
const nextOffsetIn = (topicId: string | undefined, stored: StoredOffset | undefined) =>
  topicId !== undefined && stored?.topicId !== undefined && stored.topicId !== topicId
    ? undefined
    : stored?.nextOffset;

/** Resolves with false if it was stopped before. */
const areReadAgain = async (
  moves: readonly Move[],
  { offsets, group, progress, signal }: Options,
): Promise<boolean> => {
  const total = distance(moves);
  for (let remaining = total; remaining > 0n; ) {
    await sleep(pollIntervalMs, signal);
    if (signal.aborted) return false;
    const stored = await offsets.read(group);
    remaining = 0n;
    for (const { partition, from, to } of moves) {
      const nextOffset = stored.get(partition)?.nextOffset ?? to;
      if (nextOffset < from) remaining += from - nextOffset;
    }
    progress(`${total - remaining} of ${total} read again`);
  }
  return true;
};
