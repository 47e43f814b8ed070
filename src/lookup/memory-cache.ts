import type { EncodedOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';

/** An `OrderCache` that is synchronous. */
export type MemoryCache = {
  /** In the order of insertion. */
  uids(): OrderUid[];
  /** Removes orders that were erased; takes as long as the limit is. */
  remove(uids: readonly OrderUid[]): void;
  get(uid: OrderUid): EncodedOrder | undefined;
  put(uid: OrderUid, document: EncodedOrder): void;
  size(): number;
  /** Orders evicted since the start. */
  evictions(): number;
};

/** The tier of this process. A ring buffer of uids in the order of insertion makes insertion and eviction O(1). */
export const createMemoryCache = (limit: number): MemoryCache => {
  const documents = new Map<OrderUid, EncodedOrder>();
  const queue = new Array<OrderUid | undefined>(limit);
  let next = 0;
  let evictions = 0;
  return {
    get: (uid) => documents.get(uid),
    put(uid, document) {
      if (documents.has(uid)) return;
      const oldest = queue[next];
      if (oldest !== undefined) {
        documents.delete(oldest);
        evictions++;
      }
      queue[next] = uid;
      next = (next + 1) % limit;
      documents.set(uid, document);
    },
    uids: () => [...documents.keys()],
    remove(uids) {
      for (const uid of uids) documents.delete(uid);
      queue.fill(undefined);
      // A map keeps the order of insertion.
      for (const [index, uid] of [...documents.keys()].entries()) queue[index] = uid;
      next = documents.size % limit;
    },
    size: () => documents.size,
    evictions: () => evictions,
  };
};
