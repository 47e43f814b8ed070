import { retry } from '../async/retry.ts';
import { digestOf } from '../kafka/message.ts';
import { errorText } from '../observability/error-text.ts';
import type { ServiceState } from '../observability/service-state.ts';
import type { Order } from '../order/order.ts';
import type { OrderParser } from '../order/parser.ts';
import type { SaveBatch } from '../postgres/combined-saves.ts';
import { isCancelled, isDataError } from '../postgres/errors.ts';
import type { DeadLettered, Group, Offsets } from '../postgres/offsets.ts';
import type { Store } from '../postgres/store.ts';
import { type Batch, type Entry, isSameAsFirst, type OrderEntry, reject, type Tombstones } from './batch.ts';
import type { DeadLetter, DeadLetters } from './dead-letter.ts';
import { createFencedWrite } from './fenced-write.ts';

export type Services = {
  group: Group;
  /** Unset: tombstones are dead letters. */
  tombstones?: Tombstones;
  parser: OrderParser;
  saveBatch: SaveBatch;
  store: Pick<Store, 'findAll' | 'findErased'>;
  offsets: Pick<Offsets, 'move' | 'read' | 'findDeadLettered'>;
  deadLetters: DeadLetters;
  postgres: ServiceState;
  kafka: ServiceState;
  /** Called when PostgreSQL has cancelled the insertion of this number of orders, which are inserted in two parts then. */
  cancelled?: (orders: number, error: unknown) => void;
};

/** The phases of a batch that need PostgreSQL or Kafka. All reject when `signal` is aborted; those that write, also with a fence. */
export const createPhases = (services: Services, batch: Batch, signal: AbortSignal) => {
  const { group, parser, saveBatch, store, offsets, deadLetters, postgres, kafka } = services;

  /** Repeats a query until PostgreSQL answers. Rejects with an error that is final, as it would come again. */
  const queryUntil =
    (isFinal: (error: unknown) => boolean) =>
    async <T>(run: () => Promise<T>): Promise<T> => {
      const answer = await retry(run, { signal, isFinal, failed: postgres.markDown });
      postgres.markUp();
      return answer;
    };
  const query = queryUntil(isDataError);
  const writeFenced = createFencedWrite({ group, offsets, query }, batch);
  const isDivisible = (error: unknown) => isDataError(error) || isCancelled(error);
  const writeDivisible = createFencedWrite({ group, offsets, query: queryUntil(isDivisible) }, batch);

  /**
   * Inserts the orders that are not stored yet; the entries of the others stay pending. After a data error it halves the list
   * until the orders at fault are found, and rejects those. A list for which PostgreSQL needs more time than its
   * `statement_timeout` is halved too. The order_uids must differ. `isWhole`: nothing else is in the
   * range; the stored offset moves to its end if all orders are new. Returns whether it has moved.
   */
  const insert = async (entries: readonly OrderEntry[], isWhole: boolean): Promise<boolean> => {
    const orders = entries.map(({ order }) => order);
    const write = entries.length > 1 ? writeDivisible : writeFenced;
    try {
      const saved = await write((range) => saveBatch({ orders, range, isWhole }));
      for (const entry of entries)
        if (!saved || saved.inserted.has(entry.order.order_uid)) entry.state = 'inserted';
      return saved?.isMoved ?? true;
    } catch (error) {
      if (!isDivisible(error)) throw error;
      postgres.markUp();
      if (isCancelled(error)) services.cancelled?.(entries.length, error);
      const [entry] = entries;
      if (entry && entries.length === 1) {
        reject(entry, 'PostgresError', errorText(error));
        return false;
      }
      const middle = Math.ceil(entries.length / 2);
      await insert(entries.slice(0, middle), false);
      await insert(entries.slice(middle), false);
      return false;
    }
  };

  /**
   * Compares the orders that were not inserted with those that are stored: the same order is a duplicate, another one under its
   * order_uid is rejected. Of those that are not stored, some were erased. The others stay pending: they may have been deleted
   * since, or a trigger drops them, or their first was rejected. An order that was missing twice is rejected.
   */
  const compare = async (entries: readonly OrderEntry[]): Promise<void> => {
    const rest: OrderEntry[] = [];
    for (const entry of entries) {
      const { state, first } = entry;
      if (state !== 'pending' || first?.state === 'rejected') continue;
      if (first?.state === 'inserted' && isSameAsFirst(entry)) entry.state = 'duplicate';
      else rest.push(entry);
    }
    if (rest.length === 0) return;
    const documents = await query(() => store.findAll(rest.map(({ order }) => order.order_uid)));
    const absent = rest.map(({ order }) => order.order_uid).filter((uid) => !documents.has(uid));
    const erased = absent.length > 0 ? await query(() => store.findErased(absent)) : new Set<string>();
    for (const entry of rest) {
      const document = documents.get(entry.order.order_uid);
      if (erased.has(entry.order.order_uid)) entry.state = 'erased';
      else if (document !== undefined && isDocumentOf(parser, entry.order, document))
        entry.state = 'duplicate';
      else if (document !== undefined) reject(entry, 'OrderConflict', conflict);
      else if (entry.wasMissing) reject(entry, 'OrderMissing', missing);
      else entry.wasMissing = entry.first === entry;
    }
  };

  /** Sends the dead letters that no earlier attempt has sent. Returns their digests, which `moveOffset` stores. */
  const deadLetter = async (entries: readonly Entry[]): Promise<DeadLettered[]> => {
    const rejected = entries.filter(({ state }) => state === 'rejected');
    if (rejected.length === 0) return [];
    const digests = rejected.map(({ message }) => ({ offset: message.offset, digest: digestOf(message) }));
    const known = await query(() => offsets.findDeadLettered(group, batch.partition, digests));
    const letters: DeadLetter[] = [];
    for (const entry of rejected) {
      if (known.has(entry.message.offset)) entry.state = 'rejected-before';
      else if (entry.letter) letters.push(entry.letter);
    }
    if (letters.length > 0) {
      await retry(() => deadLetters.send(letters), { signal, failed: kafka.markDown });
      kafka.markUp();
    }
    return digests.filter(({ offset }) => !known.has(offset));
  };

  /** Moves the stored offset to the end of the range. */
  const moveOffset = (letters: readonly DeadLettered[]) =>
    writeFenced(async (range) => (await offsets.move(range, letters)) || undefined);

  return { insert, compare, deadLetter, moveOffset };
};

const missing = 'PostgreSQL did not store the order and has none under this order_uid';
const conflict = 'a different order is stored under this order_uid';

const isDocumentOf = (parser: OrderParser, order: Order, document: string) => {
  const text = JSON.stringify(order);
  if (text === document) return true;
  // The texts differ only if the orders do, unless the document was written by hand or by another version.
  const stored = parser.toOrder(JSON.parse(document));
  return 'order' in stored && JSON.stringify(stored.order) === text;
};
