import { header, textOf } from '../kafka/headers.ts';
import { digestOf } from '../kafka/message.ts';
import { type Filter, matches } from './filter.ts';
import { type Letter, letterAddress, toLetter, type UnmarkedLetter } from './letter.ts';
import { markOf, readMarks } from './marks.ts';
import type { OffsetRange, Reader } from './reader.ts';
import type { StoredMessage } from './stored-message.ts';

/** The letters in a topic at the time it was opened. */
export type Letters = Awaited<ReturnType<typeof openLetters>>;

type Options = {
  reader: Reader;
  topic: string;
  /** Only about as many of the newest messages are read; without it all. */
  newest?: number;
  /** Called with the number of messages read so far, of `total`, over both passes. */
  onRead?: (read: number, total: number) => void;
  /** When it is aborted, reading rejects with its reason at the next batch. */
  signal?: AbortSignal;
};

/**
 * Opens the dead-letter topic as it is now; later messages are not seen. Reading takes two passes over the topic: marks come after
 * the letters that they mark, and there may be too many letters to keep them in memory until then.
 */
export const openLetters = async ({ reader, topic, newest, onRead = () => {}, signal }: Options) => {
  const held = await reader.offsetRanges(topic);
  const ranges = held?.map((range) => newestOf(range, newest, held.length));
  const total = (ranges ?? []).reduce((sum, { from, to }) => sum + Number(to - from), 0);
  let read = 0;

  async function* messages(range: OffsetRange): AsyncGenerator<StoredMessage[]> {
    const before = read;
    for await (const batch of reader.read(topic, range)) {
      signal?.throwIfAborted();
      yield batch;
      read += batch.length;
      onRead(read, 2 * total);
    }
    // Missing offsets count as read.
    read = before + Number(range.to - range.from);
  }

  const redriven = new Set<string>();
  const discarded = new Set<string>();
  /** The last letter of each message that was redriven and failed again, by the letter that was redriven. */
  const successors = new Map<string, string>();

  const readMark = (message: StoredMessage) => {
    const found = readMarks(message);
    if (found?.kind === 'redriven') for (const mark of found.marks) redriven.add(mark);
    if (found?.kind === 'discarded') for (const mark of found.marks) discarded.add(mark);
    if (found?.kind === 'restored') for (const mark of found.marks) discarded.delete(mark);
    return found !== undefined;
  };
  const findMarks = async (range: OffsetRange) => {
    for await (const batch of messages(range))
      for (const message of batch) {
        const redrivenAs = textOf(message.headers, header.letter);
        if (readMark(message) || redrivenAs === undefined) continue;
        const letter = toLetter(range.partition, message);
        successors.set(contentOf(redrivenAs, letter), letterAddress(letter));
      }
  };

  /**
   * Whether a later letter has the same message, redriven from this letter or from the same one as this. A message that was sent
   * twice, as a redrive was interrupted before its mark, or two ran at once, thus counts as one letter.
   */
  const isSuperseded = (letter: UnmarkedLetter): boolean => {
    if (successors.size === 0) return false;
    const address = letterAddress(letter);
    const redrivenAs = textOf(letter.headers, header.letter);
    if (redrivenAs !== undefined && successors.get(contentOf(redrivenAs, letter)) !== address) return true;
    return successors.has(contentOf(address, letter));
  };

  const toLetters = (partition: number, batch: StoredMessage[]): Letter[] =>
    batch.flatMap((message) => {
      if (readMarks(message)) return [];
      const letter = toLetter(partition, message);
      const mark = markOf(letter);
      const isRedriven = redriven.has(mark) || isSuperseded(letter);
      return [{ ...letter, isRedriven, isDiscarded: discarded.has(mark) }];
    });

  return {
    topic,
    exists: ranges !== undefined,
    /** What was read from the topic, as a text that changes with it. */
    ranges: (ranges ?? []).map(({ partition, from, to }) => `${partition}/${from}-${to}`).join(' '),
    /** Messages that are left out, as there are more than `newest`. */
    older: (held ?? []).reduce((sum, { from, to }) => sum + Number(to - from), 0) - total,
    /** Matching letters, partition by partition; the letters of a batch are of one partition. */
    async *matching(filter: Filter): AsyncGenerator<Letter[]> {
      for (const range of ranges ?? []) await findMarks(range);
      for (const range of ranges ?? [])
        for await (const batch of messages(range)) {
          const found = toLetters(range.partition, batch).filter((letter) => matches(letter, filter));
          if (found.length > 0) yield found;
        }
    },
    /** The letter at this offset, or undefined if there is none. */
    async at(partition: number, offset: bigint): Promise<Letter | undefined> {
      const range = ranges?.find((one) => one.partition === partition);
      if (!range || offset < range.from || offset >= range.to) return undefined;
      await findMarks({ ...range, from: offset });
      for await (const batch of reader.read(topic, { partition, from: offset, to: offset + 1n }))
        return toLetters(partition, batch)[0];
      return undefined;
    },
  };
};

/** The end of a partition's range: its share of the newest messages. Marks come after their letters, so none is missing. */
const newestOf = (range: OffsetRange, newest: number | undefined, partitions: number): OffsetRange => {
  if (newest === undefined) return range;
  const from = range.to - BigInt(Math.ceil(newest / partitions));
  return from > range.from ? { ...range, from } : range;
};

/**
 * By what the message holds, too: a header that any producer can set hides no letter but one of the same message. Without the
 * timestamp, which a topic with LogAppendTime sets again each time that the message is sent.
 */
const contentOf = (address: string, letter: UnmarkedLetter) =>
  `${address} ${digestOf({ ...letter, timestamp: '' })}`;
