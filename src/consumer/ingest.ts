import { unreadableBatch } from '../dead-letters/headers.ts';
import { type Order, parseOrder, toOrder } from '../order.ts';
import { untilDone } from '../retry.ts';
import { oneLine, type ServiceState } from '../service-state.ts';
import { isRefused, type Store } from '../store.ts';
import type { DeadLetter, DeadLetters, Message } from './dead-letters.ts';

type Entry = { message: Message; order: Order };

/** What became of a chunk of messages. `stored` are the orders that were new. */
export type Outcome = { stored: Order[]; duplicates: number; letters: DeadLetter[] };

type Services = { store: Store; deadLetters: DeadLetters; postgres: ServiceState; kafka: ServiceState };

/**
 * Takes a chunk of messages to where nothing can lose them: each is stored, was stored already, or is a dead letter that
 * Kafka has acknowledged. A service that is away is waited for, for ever; it never makes a dead letter.
 * The first version of an order wins, in the order of the messages.
 */
export const createIngest =
  ({ store, deadLetters, postgres, kafka }: Services) =>
  /** Rejects only when `signal` is aborted; some of the chunk may then be stored. */
  async (messages: readonly Message[], signal: AbortSignal): Promise<Outcome> => {
    const outcome: Outcome = { stored: [], duplicates: 0, letters: [] };
    /** Whose save made no order: it was deleted in between, or else PostgreSQL has been told to drop it. */
    const missed = new Set<Entry>();

    const refuse = ({ message }: Entry, error: string, reason: string) =>
      outcome.letters.push({ message, stage: 'store', error, reason });

    const ask = async <T>(query: () => Promise<T>): Promise<T> => {
      const answer = await untilDone(query, { signal, isFinal: isRefused, failed: postgres.fails });
      postgres.works();
      return answer;
    };

    /** Saves what can be saved, and finds what cannot by halving. Returns the uids that were new, and who was refused. */
    const save = async (entries: readonly Entry[]): Promise<{ fresh: Set<string>; refused: Set<Entry> }> => {
      try {
        const fresh = await ask(() => store.save(entries.map((entry) => entry.order)));
        return { fresh, refused: new Set() };
      } catch (error) {
        if (!isRefused(error)) throw error;
        postgres.works();
        const [entry] = entries;
        if (entry && entries.length === 1) {
          refuse(entry, 'PostgresError', oneLine(error));
          return { fresh: new Set(), refused: new Set(entries) };
        }
        const middle = Math.ceil(entries.length / 2);
        const left = await save(entries.slice(0, middle));
        const right = await save(entries.slice(middle));
        return { fresh: left.fresh.union(right.fresh), refused: left.refused.union(right.refused) };
      }
    };

    const settle = async (entries: readonly Entry[]): Promise<void> => {
      if (entries.length === 0) return;
      const firsts = new Map<string, Entry>();
      const repeats: Entry[] = [];
      for (const entry of entries) {
        if (firsts.has(entry.order.order_uid)) repeats.push(entry);
        else firsts.set(entry.order.order_uid, entry);
      }

      const { fresh, refused } = await save([...firsts.values()]);
      const known: Entry[] = [];
      const again: Entry[] = [];
      for (const entry of firsts.values()) {
        if (fresh.has(entry.order.order_uid)) outcome.stored.push(entry.order);
        else if (!refused.has(entry)) known.push(entry);
      }
      for (const repeat of repeats) {
        const { order_uid } = repeat.order;
        const first = firsts.get(order_uid) as Entry;
        if (refused.has(first)) again.push(repeat);
        else if (fresh.has(order_uid) && isSame(repeat.order, first.order)) outcome.duplicates++;
        else known.push(repeat);
      }
      const gone = known.length > 0 ? await compare(known) : [];
      const rest: Entry[] = [];
      for (const entry of gone) {
        if (missed.has(entry)) refuse(entry, 'OrderMissing', missing);
        else rest.push(entry);
        if (firsts.get(entry.order.order_uid) === entry) missed.add(entry);
      }
      await settle([...rest, ...again]);
    };

    /** Entries whose uid was stored before: the same order is a duplicate, another one a dead letter. Returns what is gone since. */
    const compare = async (entries: readonly Entry[]): Promise<Entry[]> => {
      const documents = await ask(() => store.findAll(entries.map((entry) => entry.order.order_uid)));
      const gone: Entry[] = [];
      for (const entry of entries) {
        const document = documents.get(entry.order.order_uid);
        if (document === undefined) gone.push(entry);
        else if (isDocumentOf(entry.order, document)) outcome.duplicates++;
        else refuse(entry, 'OrderConflict', conflict);
      }
      return gone;
    };

    const entries: Entry[] = [];
    for (const message of messages) {
      if (message.unreadable) {
        const { reason } = message.unreadable;
        outcome.letters.push({ message, stage: 'parse', error: unreadableBatch, reason });
        continue;
      }
      const parsed = parseOrder(message.value);
      if ('order' in parsed) entries.push({ message, order: parsed.order });
      else outcome.letters.push({ message, error: errorNames[parsed.stage], ...parsed });
    }
    await settle(entries);
    if (outcome.letters.length > 0) {
      await untilDone(() => deadLetters.send(outcome.letters), { signal, failed: kafka.fails });
      kafka.works();
    }
    return outcome;
  };

const errorNames = { parse: 'ParseError', validate: 'ValidationError' } as const;

const missing = 'PostgreSQL did not take the order and has none under this order_uid';
const conflict = 'a different order is stored under this order_uid';

const isSame = (one: Order, other: Order) => JSON.stringify(one) === JSON.stringify(other);

const isDocumentOf = (order: Order, document: string) => {
  const text = JSON.stringify(order);
  if (text === document) return true;
  // The texts differ only if the orders do, unless the document was written by hand or by another version.
  const stored = toOrder(JSON.parse(document));
  return 'order' in stored && JSON.stringify(stored.order) === text;
};
