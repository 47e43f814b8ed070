import type { Kafka } from 'kafkajs';
import { retry, sleep } from '../../../src/async/retry.ts';
import type { Order } from '../../../src/order/order.ts';
import { type BadKind, badKinds } from '../../../src/producer/bad-message.ts';
import { createOrderMaker } from '../../../src/producer/fake-order.ts';
import { orderSchema } from '../order-parser.ts';
import { createRandom } from '../random.ts';

/** What was sent, by its expected result. */
export type Sent = {
  /** Orders by uid: each has to be stored as it is here. */
  orders: Map<string, Order>;
  /** Keys of messages that are not valid orders, or other orders under a known uid: each has to become a dead letter. */
  bad: Set<string>;
};

const tick = 50;
const recent = 200;

/**
 * A steady stream of orders, 1 % of them sent again a little later, 1 % of the messages bad, one in ten of those another
 * order under a known uid. Every message is sent until Kafka acknowledges it; so some
 * are in the topic twice.
 */
export const startStream = async (kafka: Kafka, topic: string, seed: number, perSecond: number) => {
  const producer = kafka.producer({ idempotent: true, retry: { retries: 2 } });
  const make = createOrderMaker({ seed });
  const random = createRandom(seed);
  const { conflict: _, ...families } = badKinds(orderSchema);
  const kinds = Object.values(families).flat();
  const sent: Sent = { orders: new Map(), bad: new Set() };
  const over = new AbortController();
  const last: Order[] = [];

  const good = (order: Order) => {
    sent.orders.set(order.order_uid, order);
    last.push(order);
    if (last.length > recent) last.shift();
    return { key: order.order_uid, value: JSON.stringify(order) };
  };
  const bad = (order: Order) => {
    const key = `bad-${order.order_uid}`;
    sent.bad.add(key);
    return { key, value: (kinds[Math.floor(random() * kinds.length)] as BadKind).make(order) };
  };
  const conflicting = (known: Order) => {
    sent.bad.add(known.order_uid);
    return { key: known.order_uid, value: JSON.stringify({ ...known, sm_id: known.sm_id + 1 }) };
  };
  const next = () => {
    const chance = random();
    const known = last[Math.floor(random() * last.length)];
    if (known && chance < 0.01) return good(known);
    if (known && chance < 0.011) return conflicting(known);
    return chance < 0.02 ? bad(make()) : good(make());
  };

  const forever = new AbortController().signal;
  const run = async () => {
    await retry(() => producer.connect(), { signal: forever });
    const begun = Date.now();
    let count = 0;
    while (!over.signal.aborted) {
      const due = Math.min(Math.floor(((Date.now() - begun) / 1000) * perSecond) - count, perSecond);
      const messages = Array.from({ length: Math.max(0, due) }, next);
      count += messages.length;
      if (messages.length > 0)
        await retry(() => producer.send({ topic, acks: -1, messages }), { signal: forever });
      await sleep(tick, over.signal);
    }
    await producer.disconnect();
  };
  const running = run();
  return {
    sent,
    /** Sends no more; resolves when all is acknowledged. */
    async stop(): Promise<Sent> {
      over.abort();
      await running;
      return sent;
    },
  };
};
