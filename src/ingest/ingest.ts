import type { Order } from '../order/order.ts';
import {
  type Batch,
  deduplicate,
  type Entry,
  isPending,
  isSameAsFirst,
  parse,
  skipTombstones,
} from './batch.ts';
import type { DeadLetter } from './dead-letter.ts';
import { createPhases, type Services } from './phases.ts';

export type BatchOutcome = {
  /** The orders that this batch inserted. */
  stored: Order[];
  /** How many messages held an order that was stored already. */
  duplicates: number;
  /** How many messages held an order that was erased, so that it was not stored. */
  erased: number;
  /** The dead letters that this batch sent. */
  letters: DeadLetter[];
  /** How many messages had a dead letter from an earlier attempt, so that none was sent. */
  lettersBefore: number;
  /** How many messages without a value were skipped. */
  tombstones: number;
};

/**
 * Persists batches, in the phases parse, deduplicate, insert, compare, dead-letter. Each message ends in one of four ways: its
 * order is stored, by this batch or before; its order was erased; Kafka has acknowledged a dead letter; it is a tombstone, and
 * skipped. Then the partition's stored offset moves to the end of the range. The first version of an order wins, in the order of
 * the messages. A service that is down is waited for, without end; it never causes a dead letter.
 */
export const createIngest =
  (services: Services) =>
  /**
   * Rejects when `signal` is aborted, or with a fence when the range does not begin at the stored offset or the claim is lost.
   * Some of the batch may be stored then; the stored offset has not moved.
   */
  async (batch: Batch, signal: AbortSignal): Promise<BatchOutcome> => {
    const { insert, compare, deadLetter, moveOffset } = createPhases(services, batch, signal);
    const entries = parse(batch.messages, services.parser);
    if (services.tombstones === 'skip') skipTombstones(entries);
    let isMoved = false;
    for (let pending = entries.filter(isPending); pending.length > 0; pending = pending.filter(isPending)) {
      const firsts = deduplicate(pending);
      // The statement that inserts the orders moves the stored offset as well, if nothing is left to compare or to send.
      const isWhole = pending.length === entries.length && pending.every(isSameAsFirst);
      isMoved = await insert(firsts, isWhole);
      await compare(pending);
    }
    if (!isMoved) await moveOffset(await deadLetter(entries));
    return outcomeOf(entries);
  };

export type Ingest = ReturnType<typeof createIngest>;

const outcomeOf = (entries: readonly Entry[]): BatchOutcome => {
  const outcome: BatchOutcome = {
    stored: [],
    duplicates: 0,
    erased: 0,
    letters: [],
    lettersBefore: 0,
    tombstones: 0,
  };
  for (const { state, order, letter } of entries) {
    if (state === 'inserted' && order) outcome.stored.push(order);
    if (state === 'duplicate') outcome.duplicates++;
    if (state === 'erased') outcome.erased++;
    if (state === 'rejected' && letter) outcome.letters.push(letter);
    if (state === 'rejected-before') outcome.lettersBefore++;
    if (state === 'skipped') outcome.tombstones++;
  }
  return outcome;
};
