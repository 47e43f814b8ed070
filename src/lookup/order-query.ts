import { createDeadline } from '../async/deadline.ts';
import type { OrderUid } from '../order/order.ts';
import type { Store } from '../postgres/store.ts';

const timeoutMs = 1_500;
/** One more is rejected at once, so that no queue grows without bound in front of a slow PostgreSQL. */
const maxInFlight = 500;

/** PostgreSQL did not answer, so whether the order exists is unknown. */
export class Unavailable extends Error {
  readonly retryAfterSeconds = 2;
}

type Options = {
  store: Pick<Store, 'find' | 'findAll' | 'findOtherCases'>;
  /** Called after each query that was answered in time. */
  onSuccess?: (() => void) | undefined;
  /** Called for each query that failed or timed out. */
  onFailure?: ((error: unknown) => void) | undefined;
};

/** Queries orders, with a timeout and a limit on queries in flight. */
export const createOrderQuery = ({ store, onSuccess, onFailure }: Options) => {
  const deadline = createDeadline(timeoutMs);
  let inFlight = 0;

  /** A query that timed out is not cancelled, and counts as in flight until it ends. */
  const run = <Found>(query: () => Promise<Found>): Promise<Found> =>
    new Promise((resolve, reject) => {
      if (inFlight >= maxInFlight) throw new Unavailable('too many queries in flight');
      const fail = (cause: unknown) => {
        onFailure?.(cause);
        reject(new Unavailable('PostgreSQL does not answer', { cause }));
      };
      const wait = deadline.begin(fail);
      inFlight++;
      query().then(
        (found) => {
          inFlight--;
          if (!deadline.end(wait)) return;
          onSuccess?.();
          resolve(found);
        },
        (error) => {
          inFlight--;
          if (deadline.end(wait)) fail(error);
        },
      );
    });

  return {
    /** The order's JSON, or undefined when no order has this uid. Rejects with `Unavailable`. */
    find: (uid: OrderUid): Promise<string | undefined> => run(() => store.find(uid)),
    /** The JSON of the orders that have these uids, by uid, in one query. Rejects with `Unavailable`. */
    findAll: (uids: readonly OrderUid[]): Promise<Map<OrderUid, string>> => run(() => store.findAll(uids)),
    /** As the store's. Rejects with `Unavailable`. */
    findOtherCases: (uids: readonly OrderUid[]): Promise<OrderUid[][]> =>
      run(() => store.findOtherCases(uids)),
    inFlight: () => inFlight,
  };
};
