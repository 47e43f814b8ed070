import type { IHeaders } from 'kafkajs';
import { header, textOf, unreadableBatch } from '../kafka/headers.ts';
import type { Stored } from './reader.ts';

/** A dead letter. What it tells of itself is undefined where it does not: somebody else wrote it. */
export type Letter = {
  partition: number;
  offset: string;
  /** When the message was sent, in ms since 1970, which its letter keeps; -1 if nobody said. */
  time: number;
  /** The same as it came, which may be no time that there is. */
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
  /** Where the message was that could not be stored. */
  from: { topic: string; partition: string; offset: string } | undefined;
  stage: string | undefined;
  error: string | undefined;
  reason: string | undefined;
  /** How many times the message had been sent again before it became this letter. */
  redrives: number;
  /** Whether this letter was sent again. */
  isRedriven: boolean;
};

export const toLetter = (partition: number, message: Stored): Omit<Letter, 'isRedriven'> => {
  const { offset, timestamp, key, value, headers, unreadable } = message;
  const text = (name: string) => textOf(headers, name);
  const topic = text(header.topic);
  return {
    partition,
    offset,
    time: Number(timestamp),
    timestamp,
    key,
    value,
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

/** The header may be anybody's. */
const redrivesOf = (headers: IHeaders) => {
  const count = textOf(headers, header.redrives) ?? '';
  return /^\d{1,9}$/.test(count) ? Number(count) : 0;
};

/** A letter's name for people and commands: `3/17`. */
export const addressOf = ({ partition, offset }: Pick<Letter, 'partition' | 'offset'>) =>
  `${partition}/${offset}`;
