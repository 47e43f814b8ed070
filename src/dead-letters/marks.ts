import type { Message } from 'kafkajs';
import { header, textOf } from '../kafka/headers.ts';
import { addressOf, type Letter } from './letter.ts';
import type { Stored } from './reader.ts';

/**
 * Which letters were sent again is remembered in the dead-letter topic itself, in messages that are no letters. A group's
 * offsets could not hold it, as filters leave letters out, and Kafka forgets them after a week; a topic of its own could
 * outlive the letters, and would hide those that get their offsets after them.
 *
 * Marks follow the messages that they are about once those are acknowledged. A redrive that ends in between, in whatever
 * way, has sent letters that have no mark yet: the next one sends them a second time, which the store takes as a
 * repetition; and so do two redrives at once. So none is lost, and none that has its mark is sent again.
 */

type Marked = Pick<Letter, 'partition' | 'offset' | 'from'>;

/** Tells a letter from all others: with its origin, as a copy of the topic may hold other letters at these offsets. */
export const markOf = ({ partition, offset, from }: Marked) =>
  [addressOf({ partition, offset }), ...(from ? [from.topic, from.partition, from.offset] : [])].join('/');

/** In one message: more than this might be more than the topic takes. */
const marksAtMost = 250;

/** The messages that mark letters of one partition; they go to that partition, so they come after them. */
export const toMarks = (letters: readonly Marked[]): Message[] => {
  const [first] = letters;
  if (!first) return [];
  const marked = letters.slice(0, marksAtMost);
  const message = {
    // Its own, so that compaction, if somebody turns that on, takes neither it nor a letter.
    key: `redriven ${addressOf(first)}`,
    value: JSON.stringify(marked.map(markOf)),
    headers: { [header.marks]: String(marked.length) },
    partition: first.partition,
  };
  return [message, ...toMarks(letters.slice(marksAtMost))];
};

/** The marks in a message, or undefined if it is a letter: those have a stage, whatever headers a message came with. */
export const readMarks = ({ headers, value }: Pick<Stored, 'headers' | 'value'>): string[] | undefined => {
  if (textOf(headers, header.marks) === undefined || textOf(headers, header.stage) !== undefined)
    return undefined;
  try {
    const marks: unknown = JSON.parse(String(value));
    if (Array.isArray(marks) && marks.every((mark) => typeof mark === 'string')) return marks;
  } catch {
    // Not ours: a letter of somebody else's.
  }
  return undefined;
};
