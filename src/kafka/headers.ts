import type { IHeaders } from 'kafkajs';

/** The headers by which a dead letter tells where it comes from and why, as Kafka Connect calls them. */
export const reasonPrefix = '__connect.errors.';
export const header = {
  topic: `${reasonPrefix}topic`,
  partition: `${reasonPrefix}partition`,
  offset: `${reasonPrefix}offset`,
  stage: `${reasonPrefix}stage`,
  error: `${reasonPrefix}exception.class.name`,
  reason: `${reasonPrefix}exception.message`,
  /** Of a message that was a dead letter and was sent again: how many times by now, and the letter it was last. */
  redrives: '__redrive.count',
  letter: '__redrive.letter',
  /** Of a message in the dead-letter topic that is no letter, but tells which were sent again (`marks.ts`). */
  marks: '__redrive.marks',
} as const;

/** The class of the reason where a letter stands for a whole batch that cannot be read, and holds no message. */
export const unreadableBatch = 'UnreadableBatch';

/** The header's value as text, the last one if there are several; undefined if there is none. */
export const textOf = (headers: IHeaders | undefined, name: string): string | undefined => {
  if (!headers || !Object.hasOwn(headers, name)) return undefined;
  const held = headers[name];
  const value = Array.isArray(held) ? held.at(-1) : held;
  return value?.toString();
};
