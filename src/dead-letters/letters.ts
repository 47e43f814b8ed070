import { type Filter, matches } from './filter.ts';
import { type Letter, toLetter } from './letter.ts';
import { markOf, readMarks } from './marks.ts';
import type { Reader, Stored, Stretch } from './reader.ts';

/** The letters that are in a topic now: how many messages there are, and reading them. */
export type Letters = Awaited<ReturnType<typeof openLetters>>;

type Options = {
  reader: Reader;
  topic: string;
  /** Is told how many messages were read, of `total`, counting both passes. */
  onRead?: (read: number, total: number) => void;
  /** Once it is aborted, reading rejects with its reason at the next batch. */
  signal?: AbortSignal;
};

/**
 * Opens the dead-letter topic as it is now; what comes later is not seen. All of it is read twice: marks come after the
 * letters that they are about, and letters are too many to be kept until then.
 */
export const openLetters = async ({ reader, topic, onRead = () => {}, signal }: Options) => {
  const stretches = await reader.stretches(topic);
  const total = (stretches ?? []).reduce((sum, { from, to }) => sum + Number(to - from), 0);
  let read = 0;

  async function* messages(stretch: Stretch): AsyncGenerator<Stored[]> {
    const before = read;
    for await (const batch of reader.read(topic, stretch)) {
      signal?.throwIfAborted();
      yield batch;
      read += batch.length;
      onRead(read, 2 * total);
    }
    // Gaps count as well.
    read = before + Number(stretch.to - stretch.from);
  }

  const marks = new Set<string>();
  const findMarks = async (stretch: Stretch) => {
    for await (const batch of messages(stretch))
      for (const message of batch) for (const mark of readMarks(message) ?? []) marks.add(mark);
  };

  const toLetters = (partition: number, batch: Stored[]): Letter[] =>
    batch.flatMap((message) => {
      if (readMarks(message)) return [];
      const letter = toLetter(partition, message);
      return [{ ...letter, isRedriven: marks.has(markOf(letter)) }];
    });

  return {
    topic,
    exists: stretches !== undefined,
    /** Those that match, by the fetch, partition after partition; in a batch all are of one partition. */
    async *matching(filter: Filter): AsyncGenerator<Letter[]> {
      for (const stretch of stretches ?? []) await findMarks(stretch);
      for (const stretch of stretches ?? [])
        for await (const batch of messages(stretch)) {
          const found = toLetters(stretch.partition, batch).filter((letter) => matches(letter, filter));
          if (found.length > 0) yield found;
        }
    },
    /** The letter at this place, or undefined if there is none. */
    async at(partition: number, offset: bigint): Promise<Letter | undefined> {
      const stretch = stretches?.find((one) => one.partition === partition);
      if (!stretch || offset < stretch.from || offset >= stretch.to) return undefined;
      await findMarks({ ...stretch, from: offset });
      for await (const batch of reader.read(topic, { partition, from: offset, to: offset + 1n }))
        return toLetters(partition, batch)[0];
      return undefined;
    },
  };
};
