import type { Order } from '../src/order/order.ts';

/** The sums that differ from the order's own, in whole units of its currency; undefined where they agree. */
export type Differences = {
  goods: bigint | undefined;
  amount: bigint | undefined;
  /** By item. */
  items: (bigint | undefined)[];
};

// In bigint: a thousand totals can pass 2^53.
export const findDifferences = ({ payment, items }: Order): Differences => {
  const goods = items.reduce((sum, item) => sum + BigInt(item.total_price), 0n);
  const amount = BigInt(payment.goods_total) + BigInt(payment.delivery_cost) + BigInt(payment.custom_fee);
  return {
    goods: goods === BigInt(payment.goods_total) ? undefined : goods,
    amount: amount === BigInt(payment.amount) ? undefined : amount,
    items: items.map((item) => {
      const hundredfold = BigInt(item.price) * BigInt(100 - item.sale);
      const off = BigInt(item.total_price) * 100n - hundredfold;
      // Rounding up and rounding down are both right.
      return off > -100n && off < 100n ? undefined : hundredfold / 100n;
    }),
  };
};
