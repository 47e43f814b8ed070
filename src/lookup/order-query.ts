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
  store: Pick<Store, 'find'>;
  /** Called after each query that was answered in time. */
  onSuccess?: (() => void) | undefined;
  /** Called for each query that failed or timed out. */
  onFailure?: ((error: unknown) => void) | undefined;
};

/** Queries one order at a time, with a timeout and a limit on queries in flight. */
export const createOrderQuery = ({ store, onSuccess, onFailure }: Options) => {
  const deadline = createDeadline(timeoutMs);
  let inFlight = 0;
  return {
    /**
     * The order's JSON, or undefined when no order has this uid. Rejects with `Unavailable`. A query that timed out is not
     * cancelled, and counts as in flight until it ends.
     */
    find: (uid: OrderUid): Promise<string | undefined> =>
      new Promise((resolve, reject) => {
        if (inFlight >= maxInFlight) throw new Unavailable('too many queries in flight');
        const fail = (cause: unknown) => {
          onFailure?.(cause);
          reject(new Unavailable('PostgreSQL does not answer', { cause }));
        };
        const wait = deadline.begin(fail);
        inFlight++;
        store.find(uid).then(
          (json) => {
            inFlight--;
            if (!deadline.end(wait)) return;
            onSuccess?.();
            resolve(json);
          },
          (error) => {
            inFlight--;
            if (deadline.end(wait)) fail(error);
          },
        );
      }),
    inFlight: () => inFlight,
  };
};
