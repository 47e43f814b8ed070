import type { Admin } from 'kafkajs';
import { sleep } from '../async/retry.ts';
import type { RetryKafka } from '../kafka/retry.ts';
import type { Group, Offsets } from '../postgres/offsets.ts';
import type { Command, Place } from './options.ts';
import { distance, type Move, type Partition, planMoves } from './plan.ts';

const lookEvery = 300;

type Options = {
  admin: Pick<Admin, 'listTopics' | 'fetchTopicOffsets' | 'fetchTopicOffsetsByTimestamp'>;
  retryKafka: RetryKafka;
  offsets: Pick<Offsets, 'read' | 'rewind' | 'skip'>;
  group: Group;
  /** A line of the result. */
  write: (line: string) => void;
  /** How far the consumers are. */
  progress: (text: string) => void;
  signal: AbortSignal;
};

/**
 * Moves the stored offsets of a group. Returns false when nothing was moved because it has to be confirmed. Rejects with an Error
 * of one line, or with the clients' errors.
 */
export const replay = async (command: Command, options: Options): Promise<boolean> => {
  const { offsets, group, write } = options;
  const { direction, isDry, isConfirmed, waits, place } = command;
  const moves = planMoves(command, group.topic, await partitionsOf(place, options));
  const isBack = direction === 'back';
  for (const move of moves) write(lineOf(move));
  const count = distance(moves);
  if (moves.length === 0) {
    write(
      `Nothing to move: no stored offset of ${group.groupId} in ${group.topic} is ${isBack ? 'after' : 'before'} it.`,
    );
    return true;
  }
  if (isDry) {
    write(`${count} offsets would be ${isBack ? 'read again' : 'left out'}.`);
    return true;
  }
  if (!isBack && !isConfirmed) {
    write(`Nothing is moved: this leaves out ${count} offsets, which are never stored. Add --yes to do it.`);
    return false;
  }
  const targets = moves.map(({ partition, to }) => ({ partition, offset: to }));
  if (isBack) await offsets.rewind(group, targets);
  else await offsets.skip(group, targets);
  write(`${count} offsets ${isBack ? 'are read again' : 'are left out'}.`);
  if (isBack && waits) await follow(moves, options);
  return true;
};

const lineOf = ({ partition, from, to }: Move) =>
  `partition ${partition}: from ${from} ${to < from ? 'back' : 'forward'} to ${to}`;

const partitionsOf = async (
  place: Place,
  { admin, retryKafka, offsets, group }: Options,
): Promise<Partition[]> => {
  const { topic } = group;
  if (!(await retryKafka(() => admin.listTopics())).includes(topic))
    throw new Error(`there is no topic ${topic}: what does KAFKA_TOPIC hold?`);
  const logs = await retryKafka(() => admin.fetchTopicOffsets(topic));
  const times = new Map<number, bigint>();
  if (place.kind === 'time')
    for (const { partition, offset } of await retryKafka(() =>
      admin.fetchTopicOffsetsByTimestamp(topic, place.at),
    ))
      times.set(partition, BigInt(offset));
  const stored = await offsets.read(group);
  return logs
    .map(({ partition, low, high }) => ({
      partition,
      low: BigInt(low),
      high: BigInt(high),
      stored: stored.get(partition)?.nextOffset,
      atTime: times.get(partition),
    }))
    .sort((one, other) => one.partition - other.partition);
};

/** Until the consumers are again where they were. */
const follow = async (moves: readonly Move[], { offsets, group, progress, signal }: Options) => {
  const total = distance(moves);
  for (let left = total; left > 0n; ) {
    await sleep(lookEvery, signal);
    if (signal.aborted) return;
    const held = await offsets.read(group);
    left = 0n;
    for (const { partition, from, to } of moves) {
      const now = held.get(partition)?.nextOffset ?? to;
      if (now < from) left += from - now;
    }
    progress(`${total - left} of ${total} read again`);
  }
};
