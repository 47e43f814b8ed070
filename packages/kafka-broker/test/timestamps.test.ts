import { expect, test } from 'bun:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { record, recordBatch } from '../../../test/support/record-batch.ts';
import { findTimestamp } from '../src/batch.ts';

const sent = 1_700_000_000_000;
const find = (codec: number, records: Buffer, count = 1) =>
  findTimestamp(recordBatch({ base: 5, codec, records, count, timestamp: BigInt(sent) }), sent + 1, 0);

test('a time is found in what is compressed, but not in what is a bomb: then the batch itself is named', () => {
  const small = record({ time: 2, value: 'x' });
  const bomb = record({ time: 2, value: Buffer.alloc(100_000_000, 32).toString() });
  for (const [codec, compress] of [
    [1, gzipSync],
    [4, zstdCompressSync],
  ] as const) {
    expect(find(codec, compress(small))).toEqual({ offset: 5, timestamp: sent + 2 });
    expect(find(codec, compress(bomb))).toEqual({ offset: 5, timestamp: sent });
  }
});

test('a batch that lies about its records, or is of a codec without a limit, names itself', () => {
  expect(find(0, record({ time: 2 }), 2 ** 31 - 1)).toEqual({ offset: 5, timestamp: sent });
  expect(find(3, Buffer.alloc(20))).toEqual({ offset: 5, timestamp: sent });
});
