import type { Order } from '../../../src/order/order.ts';
import { type BadKind, badKinds } from '../../../src/producer/bad-message.ts';
import { createOrderMaker } from '../../../src/producer/fake-order.ts';
import type { Sent } from '../faults/stream.ts';
import { orderSchema } from '../order-parser.ts';
import { createRandom } from '../random.ts';
import { kcat } from './kcat.ts';

const patterns = 200;
const recent = 200;
const tickMs = 50;
const keyEnd = '\x1f\x1e\x1f';
const messageEnd = '\x1e\x1f\x1e';

type Options = {
  brokers: string;
  topic: string;
  seed: number;
  /** Whether other orders come under known uids. Only of use where a key stays in its partition. */
  conflicts?: boolean;
};

/**
 * Sends orders through librdkafka, whose producer continues where a cluster loses brokers or leaders, so that what is measured is
 * not ours. 1 % of the orders are sent again a little later, 1 % of the messages are bad, one in ten of those another order
 * under a known uid.
 */
export const openFeed = ({ brokers, topic, seed, conflicts = true }: Options) => {
  const make = createOrderMaker({ seed });
  // A fake order takes some 100 µs to make, a uid of its own is all that it needs.
  const models = Array.from({ length: patterns }, make);
  const random = createRandom(seed);
  const { conflict: _, ...families } = badKinds(orderSchema);
  // kcat sends no message without a value.
  const kinds = Object.values(families)
    .flat()
    .filter((kind) => kind.make(models[0] as Order)?.length);
  const sent: Sent = { orders: new Map(), bad: new Set() };
  const last: Order[] = [];
  let made = 0;

  const producer = Bun.spawn(
    kcat(brokers, [
      ...['-P', '-t', topic, '-E', '-Z', '-D', messageEnd, '-K', keyEnd],
      // One request at a time keeps the order; idempotence would give up after a few that broke off. So some come twice.
      ...['acks=all', 'max.in.flight=1', 'message.timeout.ms=0'],
      ...['request.timeout.ms=10000', 'socket.timeout.ms=12000'],
      ...['topic.metadata.refresh.interval.ms=2000', 'linger.ms=5', 'compression.codec=lz4'],
    ]),
    { stdin: 'pipe', stdout: 'ignore', stderr: 'pipe' },
  );
  const complaints = Bun.readableStreamToText(producer.stderr);

  const good = (order: Order): [string, string] => {
    sent.orders.set(order.order_uid, order);
    last.push(order);
    if (last.length > recent) last.shift();
    return [order.order_uid, JSON.stringify(order)];
  };
  const next = (): [string, string | Buffer | null] => {
    const chance = random();
    const known = last[Math.floor(random() * last.length)];
    const model = models[made++ % patterns] as Order;
    const order = {
      ...model,
      order_uid: `${model.order_uid.slice(0, 12)}${made.toString(36).padStart(6, '0')}${seed}`,
    };
    if (known && chance < 0.01) return good(known);
    if (conflicts && known && chance < 0.011) {
      sent.bad.add(known.order_uid);
      return [known.order_uid, JSON.stringify({ ...known, sm_id: known.sm_id + 1 })];
    }
    if (chance >= 0.02) return good(order);
    const key = `bad-${order.order_uid}`;
    sent.bad.add(key);
    return [key, (kinds[Math.floor(random() * kinds.length)] as BadKind).make(order)];
  };

  const send = async (count: number) => {
    try {
      for (let i = 0; i < count; i++) {
        const [key, value] = next();
        producer.stdin.write(key + keyEnd);
        if (value) producer.stdin.write(value);
        producer.stdin.write(messageEnd);
      }
      await producer.stdin.flush();
    } catch (error) {
      throw new Error(`kcat has ended: ${(await complaints).slice(-1_000)}`, { cause: error });
    }
  };

  const over = new AbortController();
  let flowing: Promise<void> | undefined;
  const flow = async (perSecond: number) => {
    const begun = Date.now();
    for (let count = 0; !over.signal.aborted; await Bun.sleep(tickMs)) {
      const due = Math.floor(((Date.now() - begun) / 1000) * perSecond) - count;
      await send(due);
      count += due;
    }
  };
  return {
    send,
    /** A steady stream until `stop`. */
    start(perSecond: number) {
      flowing = flow(perSecond);
      // `stop` rejects with the error.
      flowing.catch(() => {});
    },
    /** Sends no more. Resolves with all that was sent once Kafka has acknowledged it; rejects if it has not. */
    async stop(): Promise<Sent> {
      over.abort();
      await flowing;
      producer.stdin.end();
      if ((await producer.exited) !== 0)
        throw new Error(`not everything was acknowledged: ${(await complaints).slice(-1_000)}`);
      return sent;
    },
    [Symbol.dispose]() {
      over.abort();
      producer.kill('SIGKILL');
    },
  };
};

export type Feed = ReturnType<typeof openFeed>;
