import { describe, expect, test } from 'bun:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { lz4Compress, snappyCompress } from '@platformatic/wasm-utils';
import fc from 'fast-check';
import { codecs } from '../../src/kafka/codecs.ts';
import { decodeBatches } from '../../src/kafka/record-batches.ts';
import { decode, good, limit, range } from '../support/decode-batches.ts';
import { record, recordBatch, sized, varInt } from '../support/record-batch.ts';

const compressors: Record<number, (bytes: Buffer) => Buffer> = {
  1: gzipSync,
  2: snappyCompress,
  3: lz4Compress,
  4: zstdCompressSync,
};

const headersOf = (count: number) =>
  Buffer.concat([
    varInt(count),
    ...Array.from({ length: count }, () => Buffer.concat([sized('n'), sized('v')])),
  ]);

describe.each([1, 2, 3, 4])('codec %i', (codec) => {
  const compress = compressors[codec] as (bytes: Buffer) => Buffer;
  const batch = (value: Buffer) => recordBatch({ codec, records: compress(record({ value })) });

  test('a batch just below the limit is read', async () => {
    const value = Buffer.alloc(limit - 200, 32);
    const { messages } = await decode(batch(value));
    expect(messages.map((message) => message.value?.equals(value))).toEqual([true]);
  });

  test('a bomb is one message without a value, and the batches around it are read', async () => {
    const bomb = batch(Buffer.alloc(8 * limit, 32));
    bomb.writeBigInt64BE(2n);
    const { messages } = await decode(Buffer.concat([good(0), bomb, good(3)]));
    // The memory that the bomb took counts, so the rest comes with the next fetch.
    expect(messages.map(({ offset }) => offset)).toEqual(['0', '1', '2']);
    expect(messages[2]?.value).toBe(null);
    expect(messages[2]?.unreadable?.reason).toMatch(
      /^a record batch of 1 records cannot be read, offsets 2 to 2: decompressed it has more than 4000000 bytes/,
    );
    const rest = await decode(good(3));
    expect(rest.messages.map(({ value }) => String(value))).toEqual(['a', 'b']);
  });

  test('damaged input is rejected at once, or read as something else', async () => {
    const source = compress(
      Buffer.concat(Array.from({ length: 300 }, (_, at) => record({ value: `${at * at}` }))),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(source.length),
        async (changes, length) => {
          const bytes = Buffer.from(source);
          for (const [at, byte] of changes) bytes[at] = byte;
          const records = bytes.subarray(0, length);
          const { messages } = await decode(recordBatch({ codec, records, count: 300 }));
          expect(messages.at(-1)?.offset).toBe('299');
        },
      ),
      { numRuns: 300 },
    );
  });
});

test('a false length in the head allocates no memory: snappy of 4 GB, lz4 that repeats, zstd with a huge window', async () => {
  const before = process.memoryUsage.rss();
  const snappy = Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(100)]);
  const lz4 = Buffer.from('04224d18604073ffffff7f', 'hex');
  const zstd = Buffer.concat([Buffer.from('28b52ffd00880100006161', 'hex'), Buffer.alloc(100)]);
  for (let round = 0; round < 200; round++)
    for (const [codec, records] of [
      [2, snappy],
      [3, lz4],
      [4, zstd],
    ] as const) {
      const { messages } = await decode(recordBatch({ codec, records }));
      expect(messages[0]?.unreadable).toBeDefined();
    }
  expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
});

describe('an unreadable batch becomes one message with the reason', () => {
  const cases: [string, Buffer, RegExp][] = [
    ['that claims 2^31 records', recordBatch({ records: [record({})], count: 2 ** 31 - 1 }), /are too many$/],
    ['that claims -1 records', recordBatch({ records: [record({})], count: -1, lastDelta: 0 }), /negative$/],
    [
      'with more records than it claims',
      recordBatch({ records: [record({}), record({ delta: 1 })], count: 1 }),
      /more than its records$/,
    ],
    [
      'with fewer',
      recordBatch({ records: [record({ value: 'x'.repeat(20) })], count: 2 }),
      /middle of a record$/,
    ],
    [
      'with a record of negative length',
      recordBatch({ records: [record({ length: -5 })] }),
      /middle of a record$/,
    ],
    [
      'with a record that is longer than the batch',
      recordBatch({ records: [record({ length: 1_000 })] }),
      /middle of a record$/,
    ],
    [
      'with a record that is shorter than it says',
      recordBatch({ records: [Buffer.concat([record({ length: 7 }), Buffer.alloc(1)])] }),
      /as long as it says$/,
    ],
    [
      'with a key beyond the end',
      recordBatch({ records: [record({ key: sized('k', 2 ** 30), value: Buffer.alloc(9) })] }),
      /middle of a record$/,
    ],
    [
      'with a key of length -2',
      recordBatch({ records: [record({ key: sized('k', -2), value: Buffer.alloc(9) })] }),
      /middle of a record$/,
    ],
    [
      'with a number that does not end',
      recordBatch({ records: [Buffer.concat([varInt(30), Buffer.alloc(30, 0xff)])] }),
      /too many bytes$/,
    ],
    [
      'that claims 2^31 headers',
      recordBatch({ records: [record({ headers: varInt(2 ** 31 - 1) })] }),
      /claims 2147483647 headers$/,
    ],
    [
      'that claims -1 headers',
      recordBatch({ records: [record({ headers: varInt(-1) })] }),
      /claims -1 headers$/,
    ],
    [
      'whose header has no name',
      recordBatch({ records: [record({ headers: Buffer.concat([varInt(1), sized(null), sized('')]) })] }),
      /no name$/,
    ],
    [
      'whose offsets go back',
      recordBatch({ records: [record({ delta: 1 }), record({ delta: 0 })] }),
      /out of order$/,
    ],
    ['whose offsets leave it', recordBatch({ records: [record({ delta: 7 })] }), /out of order$/],
    ['of an unknown codec', recordBatch({ records: [record({})], codec: 7 }), /unknown compression, 7$/],
    ['that says gzip and is not', recordBatch({ records: [record({})], codec: 1 }), /it is not gzip$/],
  ];
  for (const [name, batch, reason] of cases)
    test(name, async () => {
      const { messages } = await decode(Buffer.concat([batch, good(2 ** 32)]));
      expect(messages).toHaveLength(3);
      expect(messages[0]?.unreadable?.reason).toMatch(reason);
      expect(messages[0]?.value).toBe(null);
      expect(messages.slice(1).map(({ value }) => String(value))).toEqual(['a', 'b']);
    });

  test('with more headers in all than the memory limit allows', async () => {
    const headers = Buffer.concat([varInt(70_000), Buffer.alloc(140_000)]);
    const { messages } = await decode(recordBatch({ records: [record({ headers }), record({ delta: 1 })] }));
    expect(messages.map(({ offset, unreadable }) => [offset, unreadable?.reason.split(': ')[1]])).toEqual([
      ['1', 'it has too many headers'],
    ]);
  });

  test('with more records than the memory limit allows', async () => {
    const records = Array.from({ length: 70_000 }, (_, delta) => record({ delta }));
    const { messages } = await decode(
      recordBatch({ codec: 1, records: gzipSync(Buffer.concat(records)), count: 70_000 }),
    );
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatchObject({ offset: '69999', unreadable: { firstOffset: '0', records: 70_000 } });
  });
});

test('batches without records, and those that compaction has emptied, keep their last offset', async () => {
  const empty = recordBatch({ base: 0, records: [], count: 0, lastDelta: 9 });
  const compacted = recordBatch({ base: 10, records: [record({ delta: 3, value: 'left' })], lastDelta: 9 });
  const { messages } = await decode(Buffer.concat([empty, compacted]));
  expect(messages.map(({ offset, isControlRecord }) => [offset, isControlRecord])).toEqual([
    ['9', true],
    ['13', false],
    ['19', true],
  ]);
});

test('messages have the leader epoch of their batch, also control records; a damaged batch has none that could be trusted', async () => {
  const of = (base: number, leaderEpoch: number, more: object = {}) =>
    recordBatch({ base, records: [record({ value: 'x' })], leaderEpoch, ...more });
  const whole = [of(0, 3), of(1, 7, { attributes: 0x20 }), of(2, -1)];
  const { messages } = await decode(Buffer.concat(whole));
  expect(messages.map(({ batchContext }) => batchContext.leaderEpoch)).toEqual([3, 7, undefined]);
  const damaged = of(3, 7, { intact: false });
  for (let time = 1; time < 3; time++) await decode(damaged, 0, { ...range, from: 3n });
  const [message] = (await decode(damaged, 0, { ...range, from: 3n })).messages;
  expect([message?.unreadable?.records, message?.batchContext.leaderEpoch]).toEqual([1, undefined]);
});

test('a response is decoded up to the memory limit, but its first batch always', async () => {
  const batch = recordBatch({ codec: 1, records: gzipSync(record({ value: Buffer.alloc(3_000_000) })) });
  const at = (base: bigint) => {
    const copy = Buffer.from(batch);
    copy.writeBigInt64BE(base);
    return copy;
  };
  const both = Buffer.concat([at(0n), at(1n), at(2n)]);
  const { messages, cost } = await decode(both);
  expect(messages).toHaveLength(2);
  expect((await decode(batch, cost)).messages).toEqual([]);
  expect((await decode(batch)).messages).toHaveLength(1);
});

test('decoding any records ends, with the last offset or at a batch that is cut short', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 1, max: 400 }),
      async (bytes, count) => {
        const { messages } = await decode(recordBatch({ records: Buffer.from(bytes), count }));
        expect(messages.at(-1)?.offset).toBe(`${count - 1}`);
      },
    ),
    { numRuns: 3_000 },
  );
});

test('keys, values, timestamps and headers are decoded as they were sent', async () => {
  const headers = Buffer.concat([
    varInt(5),
    ...['__proto__', 'twice', 'constructor', 'twice', 'none'].flatMap((name, at) => [
      sized(name),
      sized(name === 'none' ? null : `${at}`),
    ]),
  ]);
  const records = [
    record({ key: sized(null), value: sized(null) }),
    record({ delta: 1, time: -(2n ** 62n), key: sized(''), value: sized(''), headers }),
    record({ delta: 130, time: 300, key: sized('k'), value: sized('v'.repeat(200)) }),
  ];
  const { messages } = await decode(
    recordBatch({ base: 2 ** 40, records, lastDelta: 130, timestamp: 1_000n }),
  );
  expect(messages.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
    [`${2 ** 40}`, '1000'],
    [`${2 ** 40 + 1}`, `${1_000n - 2n ** 62n}`],
    [`${2 ** 40 + 130}`, '1300'],
  ]);
  expect(messages.map(({ key, value }) => [key?.toString(), value?.length])).toEqual([
    [undefined, undefined],
    ['', 0],
    ['k', 200],
  ]);
  expect(Object.entries(messages[1]?.headers ?? {}).map(([name, held]) => [name, String(held)])).toEqual([
    ['__proto__', '0'],
    ['twice', '1,3'],
    ['constructor', '2'],
    ['none', 'null'],
  ]);
});

test.each([
  [
    'decompressed bytes',
    recordBatch({ codec: 4, records: zstdCompressSync(record({ value: ' '.repeat(2_000) })) }),
  ],
  [
    'records',
    recordBatch({
      records: Array.from({ length: 100 }, (_, delta) => record({ delta, key: sized(''), value: '' })),
    }),
  ],
  ['headers', recordBatch({ records: [record({ headers: headersOf(100) })] })],
])('a batch with too many %s is decoded again if the limit has been raised meanwhile', async (_, batch) => {
  let bytes = 1_000;
  const raise = (to: number) => async () => {
    bytes = to;
  };
  const decodeWith = (renewLimit: () => Promise<void>) =>
    decodeBatches(batch, () => bytes, range, { renewLimit });
  const kept = await decodeWith(raise(1_000));
  expect(kept.messages.map(({ unreadable }) => typeof unreadable?.reason)).toEqual(['string']);
  const { messages } = await decodeWith(raise(1_000_000));
  expect(messages.filter(({ unreadable }) => unreadable)).toEqual([]);
});

test('every codec decompresses what it compressed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.integer({ min: 0, max: 300 })), {
        maxLength: 40,
      }),
      async (parts) => {
        const bytes = Buffer.concat(
          parts.flatMap(([part, times]) => Array.from({ length: times }, () => part)),
        );
        for (const { compress, decompress, name } of Object.values(codecs))
          expect(
            bytes.equals(await decompress(Buffer.from(await compress(bytes)), bytes.length + 1)),
            name,
          ).toBe(true);
      },
    ),
    { numRuns: 100 },
  );
});
