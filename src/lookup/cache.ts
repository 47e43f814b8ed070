import type { EncodedOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';

/**
 * A bounded FIFO cache of orders: it never holds more than its limit, and evicts the order that was inserted first, however often
 * it was read. Orders are immutable, so a cached order is never stale; `forgetting.ts` removes those that are gone.
 */
export type OrderCache = {
  /** Undefined on a miss, and while the cache is down. Never rejects. */
  get(uid: OrderUid): EncodedOrder | undefined | Promise<EncodedOrder | undefined>;
  /** Inserts the order, unless it is there, and evicts the oldest where there is no room. Never rejects. */
  put(uid: OrderUid, document: EncodedOrder): void | Promise<void>;
  /** Orders that it holds; undefined while it is down. */
  size(): number | Promise<number | undefined>;
};
