import type { Order } from './order.ts';

/** What the live list shows of an order: no personal data. Times are in RFC 3339. */
export type Summary = {
  uid: string;
  placed: string;
  items: number;
  amount: number;
  currency: Order['payment']['currency'];
  stored: string;
};

export const summarize = (order: Order, stored: Date): Summary => ({
  uid: order.order_uid,
  placed: order.date_created,
  items: order.items.length,
  amount: order.payment.amount,
  currency: order.payment.currency,
  stored: stored.toISOString(),
});
