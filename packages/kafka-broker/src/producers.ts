/** Idempotent producers of one partition: by their sequence numbers, a batch that is sent again is known and not stored twice. */
import type { BatchHeader } from './batch.ts';
import { kafkaError } from './wire.ts';

/** As many as a producer may have under way, so as many as it may send again. */
const batchesKept = 5;
const producersKept = 1000;
const sequences = 2 ** 31;

type Batch = { sequence: number; count: number; offset: number };
type Producer = { epoch: number; batches: Batch[] };

export const createProducers = () => {
  // In order of their last batch, so that the longest silent one is the first to be forgotten.
  const producers = new Map<bigint, Producer>();

  return {
    /**
     * Returns the offset that the same batch got before, or undefined if it is new.
     * Throws if the producer was replaced, or if something is missing between its last batch and this one.
     */
    check({ producerId, producerEpoch, baseSequence, count }: BatchHeader): number | undefined {
      const producer = producers.get(producerId);
      if (!producer) return undefined;
      if (producerEpoch < producer.epoch) throw kafkaError('INVALID_PRODUCER_EPOCH');
      if (producerEpoch > producer.epoch) {
        if (baseSequence !== 0) throw kafkaError('OUT_OF_ORDER_SEQUENCE_NUMBER');
        return undefined;
      }
      const same = producer.batches.find((batch) => batch.sequence === baseSequence && batch.count === count);
      if (same) return same.offset;
      const last = producer.batches.at(-1) as Batch;
      if (baseSequence !== (last.sequence + last.count) % sequences)
        throw kafkaError('OUT_OF_ORDER_SEQUENCE_NUMBER');
      return undefined;
    },

    remember({ producerId, producerEpoch, baseSequence, count, baseOffset }: BatchHeader) {
      if (producerId < 0n) return;
      const known = producers.get(producerId);
      const before = known?.epoch === producerEpoch ? known.batches : [];
      const batches = [...before, { sequence: baseSequence, count, offset: baseOffset }].slice(-batchesKept);
      producers.delete(producerId);
      producers.set(producerId, { epoch: producerEpoch, batches });
      if (producers.size > producersKept) producers.delete(producers.keys().next().value as bigint);
    },
  };
};
