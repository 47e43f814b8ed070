import type { IHeaders } from 'kafkajs';

/** A record batch that cannot be read. */
export type Unreadable = {
  /** One line. */
  reason: string;
  firstOffset: string;
  lastOffset: string;
  /** How many records the batch claims to hold. */
  records: number;
};

/**
 * A message as kafkajs passes it to consumers. For an unreadable batch there is one message, at the last offset of the batch and
 * without a value.
 */
export type FetchedMessage = {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
  attributes: 0;
  isControlRecord: boolean;
  batchContext: {
    producerId: string;
    inTransaction: boolean;
    /** The epoch of the leader that appended the batch; undefined if the batch does not have it, or is damaged. */
    leaderEpoch?: number | undefined;
  };
  unreadable?: Unreadable;
};

export const emptyMessage = { key: null, value: null, headers: {}, attributes: 0 } as const;

/** `cost`: the memory that decoding took, in bytes. `isOverLimit`: with a higher limit the batch may be readable. */
export type Decoded = { messages: FetchedMessage[]; cost: number; isOverLimit?: boolean };

/** What a record or a header takes in memory besides its bytes, at least. */
export const objectBytes = 64;

const unreadableCode = 'UNREADABLE_BATCH';

export const unreadable = (reason: string) =>
  Object.assign(new Error(reason), { code: unreadableCode, cost: 0, isOverLimit: false });

/**
 * As `unreadable`, of a batch that a higher limit may make readable. `cost`: the memory of bytes that were decompressed and then
 * rejected; it is in use until it is collected.
 */
export const overLimit = (reason: string, cost = 0) =>
  Object.assign(unreadable(reason), { cost, isOverLimit: true });

export const isUnreadable = (error: unknown): error is ReturnType<typeof unreadable> =>
  (error as { code?: unknown }).code === unreadableCode;
