import type { OrderUid } from '../order/order.ts';

const ttlMs = 1_000;
const maxEntries = 10_000;

/** The uids that no order had a moment ago, so that looking up the same one again and again costs PostgreSQL one query a second. */
export const createNegativeCache = () => {
  const expiresAt = new Map<OrderUid, number>();
  return {
    has(uid: OrderUid): boolean {
      const time = expiresAt.get(uid);
      if (time === undefined) return false;
      if (performance.now() < time) return true;
      expiresAt.delete(uid);
      return false;
    },
    /** Evicts the oldest entry when it is full. */
    add(uid: OrderUid) {
      const [oldest] = expiresAt.size >= maxEntries ? expiresAt.keys() : [];
      if (oldest !== undefined) expiresAt.delete(oldest);
      expiresAt.set(uid, performance.now() + ttlMs);
    },
    delete: (uid: OrderUid) => expiresAt.delete(uid),
    size: () => expiresAt.size,
  };
};
