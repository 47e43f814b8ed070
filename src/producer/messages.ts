import { createOrderSchema, type Order } from '../order/order.ts';
import type { OrderRules } from '../order/rules.ts';
import { createBadMessageMaker } from './bad-message.ts';
import { createOrderMaker } from './fake-order.ts';

/** `bad`: deliberately not a valid order. `line`: where it begins in its file. */
export type Message = { key: string | null; value: Buffer | null; bad: boolean; line?: number };

/** The date of seeded orders, so that a seed gives the same orders on any day. */
const seededTime = Date.UTC(2026, 0, 1, 12);

/** An endless stream of fake orders by these rules, of which the share `invalid` is bad. */
export function* madeMessages(
  { seed, invalid = 0 }: { seed?: number | undefined; invalid?: number | undefined },
  rules: OrderRules,
): Generator<Message> {
  const makeOrder = createOrderMaker({ seed, rules, ...(seed !== undefined && { now: () => seededTime }) });
  const makeBad = createBadMessageMaker(createOrderSchema(rules));
  let known: Order | undefined;
  for (let n = 1; ; n++) {
    const order = makeOrder();
    if (Math.floor(n * invalid) > Math.floor((n - 1) * invalid)) {
      yield { ...makeBad(order, known), bad: true };
    } else {
      known = order;
      yield { key: order.order_uid, value: Buffer.from(JSON.stringify(order)), bad: false };
    }
  }
}
