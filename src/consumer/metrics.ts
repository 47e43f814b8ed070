import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Message } from './dead-letters.ts';
import type { Outcome } from './ingest.ts';

/** What is measured of one consumer. `registry` is its own; the threads' registries are summed up where they are shown. */
export const createConsumerMetrics = (registry: Registry, paused: () => number) => {
  const registers = [registry];
  const stored = new Counter({ name: 'orders_stored_total', help: 'Orders that were new', registers });
  const duplicates = new Counter({
    name: 'orders_duplicate_total',
    help: 'Messages with an order that was stored already',
    registers,
  });
  const letters = new Counter({
    name: 'orders_dead_letters_total',
    help: 'Messages sent to the dead-letter topic',
    labelNames: ['stage'],
    registers,
  });
  const chunkMessages = new Histogram({
    name: 'orders_chunk_messages',
    help: 'Messages of a chunk, which is stored in one round trip',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  });
  const chunkSeconds = new Histogram({
    name: 'orders_chunk_duration_seconds',
    help: 'Time from a chunk taken up to all of it safe',
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30],
    registers,
  });
  const delay = new Histogram({
    name: 'orders_delay_seconds',
    help: "Time from a message's Kafka timestamp to its order stored",
    buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30, 300],
    registers,
  });
  const lag = new Gauge({
    name: 'orders_consumer_lag',
    help: 'Messages of a partition after the committed offset',
    labelNames: ['partition'],
    registers,
  });
  new Gauge({
    name: 'orders_paused_partitions',
    help: 'Partitions that wait for a service to come back',
    registers,
    collect() {
      this.set(paused());
    },
  });

  const offsets = new Map<number, { end?: bigint; committed?: bigint }>();
  const show = (partition: number) => {
    const { end, committed } = offsets.get(partition) ?? {};
    if (end === undefined || committed === undefined) return;
    lag.set({ partition }, Number(end > committed ? end - committed : 0n));
  };
  const set = (partition: number, known: { end?: bigint; committed?: bigint }) => {
    const before = offsets.get(partition);
    if (!before) return;
    Object.assign(before, known);
    show(partition);
  };

  return {
    chunk(messages: readonly Message[], outcome: Outcome, seconds: number) {
      stored.inc(outcome.stored.length);
      duplicates.inc(outcome.duplicates);
      for (const { stage } of outcome.letters) letters.inc({ stage });
      chunkMessages.observe(messages.length);
      chunkSeconds.observe(seconds);
      const now = Date.now();
      for (const { timestamp } of messages) delay.observe(Math.max(0, now - Number(timestamp)) / 1000);
    },
    progress: {
      assigned(partitions: readonly number[]) {
        offsets.clear();
        lag.reset();
        for (const partition of partitions) offsets.set(partition, {});
      },
      /** Where a fetch began tells what is committed, until we have committed something ourselves. */
      fetched: (partition: number, first: bigint, end: bigint) =>
        set(partition, { end, committed: offsets.get(partition)?.committed ?? first }),
      end: (partition: number, end: bigint) => set(partition, { end }),
      committed: (partition: number, committed: bigint) => set(partition, { committed }),
    },
  };
};
