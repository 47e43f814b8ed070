import type { Order } from '../src/order/order.ts';

/** What the parts of an order add up to, where that is not what the order says. In whole units of its currency. */
export type Differences = {
  goods: bigint | undefined;
  amount: bigint | undefined;
  /** One for each item. */
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
      // Rounded up or down, either is right.
      return off > -100n && off < 100n ? undefined : hundredfold / 100n;
    }),
  };
};
