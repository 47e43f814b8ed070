import type { IHeaders } from 'kafkajs';
import { header, textOf, unreadableBatch } from '../kafka/headers.ts';
import type { StoredMessage } from './stored-message.ts';

/** A dead letter. Fields from headers are undefined if another program wrote it without them. */
export type Letter = {
  partition: number;
  offset: string;
  /** When the original message was sent, in ms since 1970; -1 if it has no timestamp. */
  time: number;
  /** The timestamp of the original message, as Kafka returned it, which may not be a valid time. */
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
  /** Where the original message was. */
  from: { topic: string; partition: string; offset: string } | undefined;
  stage: string | undefined;
  error: string | undefined;
  reason: string | undefined;
  /** How often the message had been redriven before it became this letter. */
  redrives: number;
  /** Whether this letter has been redriven. */
  isRedriven: boolean;
  /** Whether an operator has discarded this letter. */
  isDiscarded: boolean;
};

/** The letter without what only marks contain. */
export type UnmarkedLetter = Omit<Letter, 'isRedriven' | 'isDiscarded'>;

export const toLetter = (partition: number, message: StoredMessage): UnmarkedLetter => {
  const { offset, headers, unreadable } = message;
  const text = (name: string) => textOf(headers, name);
  const timestamp = firstTimestampOf(headers) ?? text(header.originalTimestamp) ?? message.timestamp;
  const topic = text(header.topic);
  return {
    partition,
    offset,
    time: Number(timestamp),
    timestamp,
    key: originalOf(headers, header.originalKey, message.key),
    value: originalOf(headers, header.originalValue, message.value),
    headers,
    from:
      topic === undefined
        ? undefined
        : { topic, partition: text(header.partition) ?? '', offset: text(header.offset) ?? '' },
    stage: text(header.stage),
    error: unreadable ? unreadableBatch : text(header.error),
    reason: unreadable?.reason ?? text(header.reason),
    redrives: redrivesOf(headers),
  };
};

/** What the header holds, which may be null; without the header what the letter has. */
const originalOf = (headers: IHeaders, name: string, own: Buffer | null): Buffer | null => {
  if (!Object.hasOwn(headers, name)) return own;
  const values = headers[name];
  const value = Array.isArray(values) ? values.at(-1) : values;
  return value === null || value === undefined ? null : Buffer.from(value);
};

/** That of a message before it was redriven; undefined if it was not, or the header is no timestamp, as any producer can set it. */
const firstTimestampOf = (headers: IHeaders) => {
  const timestamp = textOf(headers, header.firstTimestamp) ?? '';
  return /^-?\d{1,19}$/.test(timestamp) ? timestamp : undefined;
};

/** 0 if the header is missing or is not a count, as any producer can set it. */
const redrivesOf = (headers: IHeaders) => {
  const count = textOf(headers, header.redrives) ?? '';
  return /^\d{1,9}$/.test(count) ? Number(count) : 0;
};

/** `PARTITION/OFFSET`, as in `3/17`. */
export const letterAddress = ({ partition, offset }: Pick<Letter, 'partition' | 'offset'>) =>
  `${partition}/${offset}`;

/** The place of a letter, from its address; undefined if the text is none. */
export const parseLetterAddress = (text: string): { partition: number; offset: bigint } | undefined => {
  const [, partition, offset] = /^(\d{1,9})\/(\d{1,18})$/.exec(text) ?? [];
  return offset === undefined ? undefined : { partition: Number(partition), offset: BigInt(offset) };
};

/** `ValidationError: order_uid is missing` */
export const reasonText = ({ error, reason }: Pick<Letter, 'error' | 'reason'>): string =>
  [error, reason].filter((part) => part !== undefined).join(': ');

/** `2026-01-31T08:00:00.000Z`; undefined if the message has no timestamp or an invalid one. */
export const sentAt = ({ time }: Pick<Letter, 'time'>): string | undefined => {
  const date = new Date(time);
  return time < 0 || Number.isNaN(date.getTime()) ? undefined : date.toISOString();
};
