import { type Filter, matches } from './filter.ts';
import type { StoredMessage } from './kafkajs-cluster.ts';
import { type Letter, toLetter } from './letter.ts';
import { markOf, readMarks } from './marks.ts';
import type { OffsetRange, Reader } from './reader.ts';

/** The letters in a topic at the time it was opened. */
export type Letters = Awaited<ReturnType<typeof openLetters>>;

type Options = {
  reader: Reader;
  topic: string;
  /** Called with the number of messages read so far, of `total`, over both passes. */
  onRead?: (read: number, total: number) => void;
  /** When it is aborted, reading rejects with its reason at the next batch. */
  signal?: AbortSignal;
};

/**
 * Opens the dead-letter topic as it is now; later messages are not seen. Reading takes two passes over the topic: marks come after
 * the letters that they mark, and there may be too many letters to keep them in memory until then.
 */
export const openLetters = async ({ reader, topic, onRead = () => {}, signal }: Options) => {
  const ranges = await reader.offsetRanges(topic);
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

  const marks = new Set<string>();
  const findMarks = async (range: OffsetRange) => {
    for await (const batch of messages(range))
      for (const message of batch) for (const mark of readMarks(message) ?? []) marks.add(mark);
  };

  const toLetters = (partition: number, batch: StoredMessage[]): Letter[] =>
    batch.flatMap((message) => {
      if (readMarks(message)) return [];
      const letter = toLetter(partition, message);
      return [{ ...letter, isRedriven: marks.has(markOf(letter)) }];
    });

  return {
    topic,
    exists: ranges !== undefined,
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
