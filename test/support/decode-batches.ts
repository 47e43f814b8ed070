import { decodeBatches } from '../../src/kafka/record-batches.ts';
import { record, recordBatch } from './record-batch.ts';

/** What a batch may have when it is decompressed, in bytes. */
export const limit = 4_000_000;
/** All offsets. */
export const range = { from: 0n, end: 2n ** 62n };
export const decode = (bytes: Buffer, cost?: number, { from, end } = range) =>
  decodeBatches(bytes, () => limit, { from, end }, { cost });

/** A batch of messages from offset `base`. */
export const good = (base: number, values = ['a', 'b']) =>
  recordBatch({ base, records: values.map((value, delta) => record({ delta, value })) });
