import type { Message } from 'kafkajs';
import { header, textOf } from '../kafka/headers.ts';
import { type Letter, letterAddress } from './letter.ts';
import type { StoredMessage } from './stored-message.ts';

/**
 * Marks record in the dead-letter topic itself which letters were redriven or discarded. Committed offsets of a group cannot:
 * filters skip letters, and Kafka expires them after a week. A separate topic could outlive the letters, and would then hide new
 * letters at the same offsets.
 *
 * A redriven letter is marked after its message is acknowledged. If a redrive ends in between, or two run at once, letters are
 * sent a second time, which the store treats as duplicates. So no letter is lost, and no marked letter is sent again.
 *
 * Of a letter's marks `discarded` and `restored` the last one counts; they are in the letter's partition, and so have an order.
 */
const markHeaders = {
  redriven: header.marks,
  discarded: header.discarded,
  restored: header.restored,
} as const;

export type MarkKind = keyof typeof markHeaders;

type Marked = Pick<Letter, 'partition' | 'offset' | 'from'>;

/** Identifies a letter. It includes the origin: a recreated topic may hold another letter at the same offset. */
export const markOf = ({ partition, offset, from }: Marked) =>
  [letterAddress({ partition, offset }), ...(from ? [from.topic, from.partition, from.offset] : [])].join(
    '/',
  );

/** Per message, to stay below the topic's max.message.bytes. */
const maxMarks = 250;

/** Messages that mark letters of one partition. They go to the same partition, and so come after the letters. */
export const toMarks = (kind: MarkKind, letters: readonly Marked[]): Message[] => {
  const [first] = letters;
  if (!first) return [];
  const marked = letters.slice(0, maxMarks);
  const message = {
    // A key of its own, so that compaction, if it is on, deletes neither this message nor a letter nor an earlier mark.
    key: `${kind} ${letterAddress(first)} ${crypto.randomUUID()}`,
    value: JSON.stringify(marked.map(markOf)),
    headers: { [markHeaders[kind]]: String(marked.length) },
    partition: first.partition,
  };
  return [message, ...toMarks(kind, letters.slice(maxMarks))];
};

/** The marks in a message, or undefined if it is a letter. A letter always has a stage, even if its message had our header. */
export const readMarks = ({
  headers,
  value,
}: Pick<StoredMessage, 'headers' | 'value'>): { kind: MarkKind; marks: string[] } | undefined => {
  const [kind] = Object.entries(markHeaders).find(([, name]) => textOf(headers, name) !== undefined) ?? [];
  if (kind === undefined || textOf(headers, header.stage) !== undefined) return undefined;
  try {
    const marks: unknown = JSON.parse(String(value));
    if (Array.isArray(marks) && marks.every((mark) => typeof mark === 'string'))
      return { kind: kind as MarkKind, marks };
  } catch {
    // Another program's letter.
  }
  return undefined;
};
