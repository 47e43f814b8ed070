import type { Order } from '../../src/order/order.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';

type Overrides = Omit<{ [Field in keyof Order]?: Order[Field] }, 'delivery' | 'payment' | 'items'> & {
  delivery?: Partial<Order['delivery']>;
  payment?: Partial<Order['payment']>;
  /** Each is laid over the first item. */
  items?: Partial<Order['items'][number]>[];
};

/** A valid order, always the same one, with `overrides` laid over it, in depth. Its sums follow no overrides. */
export const buildOrder = (overrides: Overrides = {}): Order => {
  const order = createOrderMaker({ seed: 3, now: () => Date.UTC(2026, 0, 1, 12) })();
  const first = order.items[0] as Order['items'][number];
  return {
    ...order,
    ...overrides,
    delivery: { ...order.delivery, ...overrides.delivery },
    payment: { ...order.payment, ...overrides.payment },
    items: overrides.items?.map((item) => ({ ...first, ...item })) ?? order.items,
  };
};
