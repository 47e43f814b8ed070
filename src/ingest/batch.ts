import { unreadableBatch } from '../kafka/headers.ts';
import type { Message } from '../kafka/message.ts';
import type { Order, OrderUid } from '../order/order.ts';
import type { OrderParser } from '../order/parser.ts';
import type { DeadLetter } from './dead-letter.ts';

/** The offset range [from, to) of a partition, and the messages in it; there may be none. */
export type Batch = {
  partition: number;
  from: bigint;
  to: bigint;
  messages: readonly Message[];
  /** The leader epoch of the record before `to`; undefined if it is not known. */
  leaderEpoch: number | undefined;
  /** The partition's fencing token in PostgreSQL. All batches of an assignment share it, as each write replaces `value`. */
  claim: { value: string };
};

/** A message of a batch, and how far it has come. */
export type Entry = {
  readonly message: Message;
  /** Undefined when the message holds no valid order. */
  readonly order: Order | undefined;
  /**
   * `duplicate`: the same order is stored already. `erased`: it was erased, and is not stored again. `rejected`: is sent to the
   * dead-letter topic. `rejected-before`: an earlier attempt has sent it there. `skipped`: has no value, and tombstones are
   * skipped.
   */
  state: 'pending' | 'inserted' | 'duplicate' | 'erased' | 'rejected' | 'rejected-before' | 'skipped';
  /** Set once the entry is rejected. */
  letter: DeadLetter | undefined;
  /** The first of the pending entries with the same order_uid, which may be this one. */
  first: Entry | undefined;
  /** PostgreSQL neither inserted the order nor found it afterwards. */
  wasMissing: boolean;
};

export type OrderEntry = Entry & { readonly order: Order };

/** Reads each message as an order; an entry without a valid order is rejected. */
export const parse = (messages: readonly Message[], parser: OrderParser): Entry[] =>
  messages.map((message) => {
    if (message.unreadable) {
      const { reason } = message.unreadable;
      return createEntry(message, undefined, { message, stage: 'parse', error: unreadableBatch, reason });
    }
    const parsed = parser.parse(message.value);
    return 'order' in parsed
      ? createEntry(message, parsed.order)
      : createEntry(message, undefined, { message, error: errorNames[parsed.stage], ...parsed });
  });

const errorNames = { parse: 'ParseError', validate: 'ValidationError' } as const;

const createEntry = (message: Message, order: Order | undefined, letter?: DeadLetter): Entry => ({
  message,
  order,
  state: letter ? 'rejected' : 'pending',
  letter,
  first: undefined,
  wasMissing: false,
});

/** `error` is the class of the reason. */
export const reject = (entry: Entry, error: string, reason: string) => {
  entry.state = 'rejected';
  entry.letter = { message: entry.message, stage: 'store', error, reason };
};

/** What a tombstone becomes, a message without a value. */
export type Tombstones = 'dead-letter' | 'skip';

export const skipTombstones = (entries: readonly Entry[]) => {
  for (const entry of entries)
    if (entry.message.value === null && !entry.message.unreadable) {
      entry.state = 'skipped';
      entry.letter = undefined;
    }
};

export const isPending = (entry: Entry): entry is OrderEntry => entry.state === 'pending';

/**
 * Sets `first` of the entries, which are pending, and returns those that are the first of their order_uid: PostgreSQL gets no
 * order_uid twice in one statement.
 */
export const deduplicate = (entries: readonly OrderEntry[]): OrderEntry[] => {
  const firsts = new Map<OrderUid, OrderEntry>();
  for (const entry of entries) {
    const first = firsts.get(entry.order.order_uid);
    if (!first) firsts.set(entry.order.order_uid, entry);
    entry.first = first ?? entry;
  }
  return [...firsts.values()];
};

/** Whether the entry is the first of its order_uid, or holds the same order as the first. */
export const isSameAsFirst = (entry: Entry): boolean =>
  entry.first === entry || JSON.stringify(entry.order) === JSON.stringify(entry.first?.order);
