import type { IHeaders } from 'kafkajs';

/** The headers of a dead letter with its origin and the reason, named as in Kafka Connect. */
export const reasonPrefix = '__connect.errors.';
export const header = {
  topic: `${reasonPrefix}topic`,
  partition: `${reasonPrefix}partition`,
  offset: `${reasonPrefix}offset`,
  stage: `${reasonPrefix}stage`,
  error: `${reasonPrefix}exception.class.name`,
  reason: `${reasonPrefix}exception.message`,
  /**
   * On a dead letter that was sent to its topic again: how many times so far, its last place as a dead letter, and the timestamp that
   * its message had at first.
   */
  redrives: '__redrive.count',
  letter: '__redrive.letter',
  firstTimestamp: '__redrive.timestamp',
  /**
   * On a message in the dead-letter topic that is no letter, but marks letters as sent again, as discarded, or as no longer
   * discarded (`marks.ts`).
   */
  marks: '__redrive.marks',
  discarded: '__discard.marks',
  restored: '__discard.undo',
  /**
   * On a dead letter whose timestamp, key or value had to differ from the message's, so that its topic keeps it: what the message
   * had. Null: it had no key, or no value.
   */
  originalTimestamp: `${reasonPrefix}original.timestamp`,
  originalKey: `${reasonPrefix}original.key`,
  originalValue: `${reasonPrefix}original.value`,
} as const;

/** What `header.stage` may hold: where a message failed. */
export const letterStages = ['parse', 'validate', 'store'] as const;
export type LetterStage = (typeof letterStages)[number];

/** The error class of a dead letter that stands for a whole record batch that cannot be read, and has no value. */
export const unreadableBatch = 'UnreadableBatch';

/** The header's last value as text; undefined if the message does not have the header. */
export const textOf = (headers: IHeaders | undefined, name: string): string | undefined => {
  if (!headers || !Object.hasOwn(headers, name)) return undefined;
  const values = headers[name];
  const value = Array.isArray(values) ? values.at(-1) : values;
  return value?.toString();
};
