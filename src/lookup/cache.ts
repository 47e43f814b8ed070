import type { EncodedOrder } from '../order/encoded-order.ts';
import type { OrderUid } from '../order/order.ts';

/**
 * A bounded store of orders, first in, first out: it never holds more than its limit, and what entered first leaves
 * first, however often it was read. Orders are immutable, so what it holds is never out of date.
 */
export type OrderCache = {
  /** Undefined when it does not hold the order, or cannot tell. Never rejects. */
  get(uid: OrderUid): EncodedOrder | undefined | Promise<EncodedOrder | undefined>;
  /** Enters the order, unless it is in; the oldest leaves if there is no room. Never rejects. */
  put(uid: OrderUid, document: EncodedOrder): void | Promise<void>;
  /** How many orders it holds; undefined when it cannot tell. */
  size(): number | Promise<number | undefined>;
};
