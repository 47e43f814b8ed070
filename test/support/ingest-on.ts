import type { Sql } from 'postgres';
import type { DeadLetter } from '../../src/ingest/dead-letter.ts';
import { createIngest } from '../../src/ingest/ingest.ts';
import type { Message } from '../../src/kafka/message.ts';
import { createServiceState } from '../../src/observability/service-state.ts';
import type { Order } from '../../src/order/order.ts';
import { combineSaves } from '../../src/postgres/combined-saves.ts';
import { createOffsets } from '../../src/postgres/offsets.ts';
import { createStore, type Store } from '../../src/postgres/store.ts';
import { silent } from './kafka-and-postgres.ts';
import { parser } from './order-parser.ts';

let offset = 0;
/** A message of the partition, at the next offset. */
export const messageOf = (value: Order | string | null): Message => ({
  topic: 'orders',
  partition: 0,
  offset: String(offset++),
  key: Buffer.from('key'),
  value: value === null ? null : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  timestamp: '0',
  headers: {},
});

/** A signal that is never aborted. */
export const never = new AbortController().signal;

const group = { groupId: 'group', topic: 'orders' };
let partitions = 0;

/** Ingest of a partition of its own, with dead letters that are only collected. */
export const ingestOn = (sql: Sql, around: (store: Store) => Partial<Store> = () => ({})) => {
  const sent: DeadLetter[] = [];
  const postgres = createServiceState('PostgreSQL', silent);
  const kafka = createServiceState('Kafka', silent);
  const faults = { letters: 0 };
  const cancelled: number[] = [];
  const whole = createStore(sql);
  const store = { ...whole, ...around(whole) };
  const offsets = createOffsets(sql);
  const process = createIngest({
    group,
    parser,
    store,
    saveBatch: combineSaves(store, { log: silent }),
    offsets,
    postgres,
    kafka,
    cancelled: (orders) => cancelled.push(orders),
    deadLetters: {
      async send(letters) {
        if (faults.letters-- > 0) throw new Error('Kafka is away');
        sent.push(...letters);
      },
    },
  });
  const partition = partitions++;
  const claim = { value: crypto.randomUUID() as string };
  const begun = (async () => {
    await offsets.claim(group, [partition], claim.value);
    const begin = {
      partition,
      start: 0n,
      low: 0n,
      isPastSkip: false,
      isNewTopic: false,
      leaderEpoch: undefined,
    };
    await offsets.begin(group, undefined, [begin], claim.value);
  })();
  let next = 0n;
  const ingest = async (messages: Message[], signal: AbortSignal) => {
    await begun;
    const from = next;
    next += BigInt(messages.length + 1);
    return process({ partition, from, to: next, messages, leaderEpoch: undefined, claim }, signal);
  };
  /** Whether the stored offset is at the end of the last batch. */
  const isMoved = async () => (await offsets.read(group)).get(partition)?.nextOffset === next;
  return { ingest, begun, isMoved, sent, cancelled, postgres, kafka, faults };
};
