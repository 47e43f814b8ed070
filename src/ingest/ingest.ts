import { retry } from '../async/retry.ts';
import { unreadableBatch } from '../kafka/headers.ts';
import { errorText } from '../observability/error-text.ts';
import type { ServiceState } from '../observability/service-state.ts';
import { type Order, parseOrder, toOrder } from '../order/order.ts';
import type { Group, Offsets, Step } from '../postgres/offsets.ts';
import { isRefused, type Saved, type Store } from '../postgres/store.ts';
import { type DeadLetter, type DeadLetters, digestOf, type Message } from './dead-letter.ts';
import { createFenceError } from './fence.ts';

/** The offset range [from, to) of a partition, and the messages in it, which may be none. */
export type Batch = {
  partition: number;
  from: bigint;
  to: bigint;
  messages: readonly Message[];
  /** What the next write of the partition has to know; each write replaces it. */
  claim: { value: string };
};

type Entry = { message: Message; order: Order };

/**
 * What became of a batch. `stored` are the orders that were new, `letters` those that were sent; `lettered` counts messages that
 * had a letter already.
 */
export type Outcome = { stored: Order[]; duplicates: number; letters: DeadLetter[]; lettered: number };

type Services = {
  group: Group;
  store: Pick<Store, 'saveBatch' | 'findAll'>;
  offsets: Pick<Offsets, 'move' | 'read' | 'lettered'>;
  deadLetters: DeadLetters;
  postgres: ServiceState;
  kafka: ServiceState;
};

/**
 * Takes a batch to where nothing can lose it: each message is stored, was stored already, or is a dead letter that Kafka has
 * acknowledged; and with the last of them the partition's stored offset is moved to the end of the range. A service that is away
 * is waited for, for ever; it never makes a dead letter. The first version of an order wins, in the order of the messages.
 */
export const createIngest =
  ({ group, store, offsets, deadLetters, postgres, kafka }: Services) =>
  /**
   * Rejects when `signal` is aborted, or with a fence when the range does not begin at the stored offset or the claim is lost;
   * some of the batch may then be stored, and the stored offset is not moved.
   */
  async (batch: Batch, signal: AbortSignal): Promise<Outcome> => {
    const { partition, from, to, messages, claim } = batch;
    const outcome: Outcome = { stored: [], duplicates: 0, letters: [], lettered: 0 };
    let isMoved = false;
    /** Whose save made no order: it was deleted in between, or else PostgreSQL has been told to drop it. */
    const missed = new Set<Entry>();

    const refuse = ({ message }: Entry, error: string, reason: string) =>
      outcome.letters.push({ message, stage: 'store', error, reason });

    const ask = async <T>(query: () => Promise<T>): Promise<T> => {
      const answer = await retry(query, { signal, isFinal: isRefused, failed: postgres.markDown });
      postgres.markUp();
      return answer;
    };

    /**
     * Makes a step, again if need be. Undefined when an attempt whose answer was lost has moved the stored offset: so nothing of
     * the range is left to do. Rejects with a fence.
     */
    const write = async <T>(query: (step: Step) => Promise<T | undefined>): Promise<T | undefined> => {
      const step = { ...group, partition, from, to, claim: claim.value, nextClaim: crypto.randomUUID() };
      for (let attempt = 0; ; attempt++) {
        const answer = await ask(() => query(step));
        if (answer !== undefined) {
          claim.value = step.nextClaim;
          return answer;
        }
        const held = (await ask(() => offsets.read(group))).get(partition);
        const isOurs = held?.claim === step.nextClaim;
        if (isOurs && held.nextOffset === to) {
          claim.value = step.nextClaim;
          return undefined;
        }
        // An attempt that was given up was at work still, and has released the row only now.
        if (isOurs && held.nextOffset === from && attempt === 0) continue;
        throw createFenceError({ reason: 'claim', partition, from, to, expected: held?.nextOffset });
      }
    };

    /**
     * Saves what can be saved, and finds what cannot by halving. Returns the uids that were new, and who was refused. `isWhole`:
     * nothing else is in the range.
     */
    const save = async (
      entries: readonly Entry[],
      isWhole: boolean,
    ): Promise<{ fresh: Set<string>; refused: Set<Entry> }> => {
      const orders = entries.map((entry) => entry.order);
      try {
        const all = (): Saved => ({ fresh: new Set(orders.map((order) => order.order_uid)), isMoved: true });
        const saved = (await write((step) => store.saveBatch(orders, step, isWhole))) ?? all();
        isMoved = saved.isMoved;
        return { fresh: saved.fresh, refused: new Set() };
      } catch (error) {
        if (!isRefused(error)) throw error;
        postgres.markUp();
        const [entry] = entries;
        if (entry && entries.length === 1) {
          refuse(entry, 'PostgresError', errorText(error));
          return { fresh: new Set(), refused: new Set(entries) };
        }
        const middle = Math.ceil(entries.length / 2);
        const left = await save(entries.slice(0, middle), false);
        const right = await save(entries.slice(middle), false);
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

      // The offset is moved together with the orders only if nothing is left to compare or to send.
      const isWhole =
        outcome.letters.length === 0 &&
        entries.length === ordersOfBatch &&
        repeats.every(({ order }) => isSame(order, (firsts.get(order.order_uid) as Entry).order));
      const { fresh, refused } = await save([...firsts.values()], isWhole);
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

    /** Those that have no letter yet, and what is to be remembered of all. */
    const withoutLetter = async () => {
      const digests = outcome.letters.map(({ message }) => ({
        offset: message.offset,
        digest: digestOf(message),
      }));
      const { topic } = group;
      const lettered = await ask(() => offsets.lettered(topic, partition, digests));
      outcome.lettered = lettered.size;
      outcome.letters = outcome.letters.filter(({ message }) => !lettered.has(message.offset));
      return digests.filter(({ offset }) => !lettered.has(offset));
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
    const ordersOfBatch = entries.length;
    await settle(entries);
    if (isMoved) return outcome;
    const digests = outcome.letters.length > 0 ? await withoutLetter() : [];
    if (outcome.letters.length > 0) {
      await retry(() => deadLetters.send(outcome.letters), { signal, failed: kafka.markDown });
      kafka.markUp();
    }
    await write(async (step) => (await offsets.move(step, digests)) || undefined);
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
