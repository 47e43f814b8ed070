import { eraseInBatches, findSelected } from '../../erasure/erase.ts';
import type { Selection } from '../../erasure/options.ts';
import { reasonOf } from '../../observability/error-reason.ts';
import type { Log } from '../../observability/log.ts';
import type { OrderUid } from '../../order/order.ts';
import type { Erasures } from '../../postgres/erasures.ts';
import { isLockTimeout, isPermissionDenied } from '../../postgres/errors.ts';
import { logUse } from '../use-log.ts';
import { wayOf } from './selection.ts';

/** More are erased by the command, as a request has no time for them. */
export const maxOrders = 10_000;

/** `uids`: to erase, or to mark only where they are not stored. `set` identifies them. */
export type Found = { uids: OrderUid[]; stored: OrderUid[]; set: string };

/** What an operator has confirmed. `set`: undefined if only the count was. */
type Confirmation = { count: number | undefined; set: string | undefined };

/** Why nothing, or not everything, was erased. `erased`: orders until then. `again`: what confirms the others. */
export type Failure = {
  failed: 'unavailable' | 'busy' | 'forbidden' | 'tooMany' | 'unconfirmed' | 'changed';
  erased: number;
  found?: Found;
  again?: { left: number; count: number; set: string };
};
type Done = { erased: number; marked: number };

type Options = { erasures: Erasures; operator: string; log: Log };

const setOf = (uids: readonly OrderUid[]) =>
  new Bun.CryptoHasher('sha256').update(uids.toSorted().join('\n')).digest('hex').slice(0, 32);

/** Orders that are named are named again, erased or not; those of a person are no more found once they are erased. */
const toAgain = (selection: Selection, all: readonly OrderUid[], left: readonly OrderUid[]) => {
  const uids = 'trait' in selection ? left : all;
  return { left: left.length, count: uids.length, set: setOf(uids) };
};

const causeOf = (error: unknown): Failure['failed'] => {
  if (isLockTimeout(error)) return 'busy';
  return isPermissionDenied(error) ? 'forbidden' : 'unavailable';
};

/** Finds and erases orders for an operator, with one line in the log for each, which has no personal data. */
export const createEraser = ({ erasures, operator, log }: Options) => {
  const audit = (selection: Selection, state: string, more: object) =>
    logUse(log, operator, { action: 'erase', by: wayOf(selection), state, ...more });

  const fail = (selection: Selection, error: unknown, erased: number): Failure => {
    audit(selection, 'failed', { erased, reason: reasonOf(error) });
    return { failed: causeOf(error), erased };
  };

  const find = async (selection: Selection): Promise<Found | Failure> => {
    const { uids, stored } = await findSelected(selection, erasures, maxOrders + 1);
    return uids.length > maxOrders ? { failed: 'tooMany', erased: 0 } : { uids, stored, set: setOf(uids) };
  };

  return {
    /** What would be erased. */
    async find(selection: Selection): Promise<Found | Failure> {
      try {
        const found = await find(selection);
        const counts = 'failed' in found ? {} : { orders: found.uids.length, stored: found.stored.length };
        audit(selection, 'found', counts);
        return found;
      } catch (error) {
        return fail(selection, error, 0);
      }
    },
    /** Erases the orders, unless others than these were confirmed. */
    async erase(selection: Selection, { count, set }: Confirmation): Promise<Done | Failure> {
      let erased = 0;
      let again: Failure['again'];
      try {
        const found = await find(selection);
        if ('failed' in found) {
          audit(selection, 'refused', {});
          return found;
        }
        const orders = found.uids.length;
        const refused =
          set !== undefined && set !== found.set ? 'changed' : count !== orders ? 'unconfirmed' : undefined;
        if (refused) {
          audit(selection, 'refused', { orders });
          return { failed: refused, erased: 0, found };
        }
        await eraseInBatches(erasures, found.uids, (soFar, left) => {
          erased = soFar;
          again = toAgain(selection, found.uids, left);
        });
        const marked = orders - erased;
        audit(selection, 'done', { orders, erased, marked });
        return { erased, marked };
      } catch (error) {
        return { ...fail(selection, error, erased), ...(again && { again }) };
      }
    },
  };
};

export type Eraser = ReturnType<typeof createEraser>;
