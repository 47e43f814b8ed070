import { describe, expect, test } from 'bun:test';
import filterAborted from 'kafkajs/src/consumer/filterAbortedMessages.js';
import type { FetchedMessage } from '../../src/kafka/fetched-message.ts';
import { decodeFetched } from '../../src/kafka/record-batches.ts';
import { decode, good, range } from '../support/decode-batches.ts';
import { record, recordBatch, sized } from '../support/record-batch.ts';

test('a batch with a wrong checksum is fetched three times before it counts as unreadable', async () => {
  const wrong = recordBatch({ base: 2, records: [record({}), record({ delta: 1 })], intact: false });
  const answer = Buffer.concat([good(0), wrong, good(4)]);
  expect((await decode(answer)).messages.map(({ offset }) => offset)).toEqual(['0', '1']);
  expect((await decode(Buffer.concat([wrong, good(4)]))).messages).toEqual([]);
  const { messages } = await decode(Buffer.concat([wrong, good(4)]));
  expect(messages.map(({ offset }) => offset)).toEqual(['3', '4', '5']);
  expect(messages[0]?.unreadable).toMatchObject({ firstOffset: '2', lastOffset: '3', records: 2 });
  expect(messages[0]?.unreadable?.reason).toEndWith('its checksum is wrong');
});

test('a batch with a wrong checksum hides no batch after it, whatever last offset it claims', async () => {
  const wrong = recordBatch({ base: 2, records: [record({})], lastDelta: 1_000, intact: false });
  const answer = Buffer.concat([wrong, good(4)]);
  for (let time = 1; time < 3; time++) expect((await decode(answer)).messages).toEqual([]);
  const { messages } = await decode(answer);
  expect(messages.map(({ offset }) => offset)).toEqual(['3', '4', '5']);
});

/** What a fetch brings once it was repeated often enough: the offsets, with `!` after those of unreadable batches. */
const decodeAgain = async (bytes: Buffer, asked = range) => {
  for (let time = 1; time < 3; time++) await decode(bytes, 0, asked);
  return decode(bytes, 0, asked);
};
const offsetsOf = ({ messages }: Awaited<ReturnType<typeof decode>>) =>
  messages.map(({ offset, unreadable }) => `${offset}${unreadable ? '!' : ''}`);
const single = (base: number) => good(base, [`${base}`]);

/** Three batches of one message each; one byte of the second is changed. */
const damage = (at: number, bits: number) => {
  const bytes = Buffer.concat([single(0), single(1), single(2)]);
  const place = single(0).length + at;
  bytes[place] = (bytes[place] as number) ^ bits;
  return bytes;
};

/** Fetches until the end: the broker sends what begins with the batch of the offset that it is asked for. */
const readAll = async (bytes: Buffer, end: number) => {
  const seen: string[] = [];
  for (let from = 0, fetches = 0; from < end && fetches < 20; fetches++) {
    const sent = bytes.subarray(from * single(0).length);
    const decoded = await decode(sent, 0, { from: BigInt(from), end: BigInt(end) });
    seen.push(...offsetsOf(decoded));
    from = Number(decoded.messages.at(-1)?.offset ?? from - 1) + 1;
  }
  return seen;
};

test('whichever bit of a batch is changed, it is one unreadable batch, and those around it are read', async () => {
  // The leader's epoch, in bytes 12 to 15, is neither used nor part of the checksum.
  const places = [...single(1).keys()].filter((at) => at < 12 || at > 15);
  for (const at of places)
    for (let bit = 0; bit < 8; bit++) {
      const place = `byte ${at}, bit ${bit}`;
      expect([place, await readAll(damage(at, 1 << bit), 3)]).toEqual([place, ['0', '1!', '2']]);
    }
});

describe('a damaged batch is fetched three times, and then names its offset', () => {
  const cases: [string, Buffer, RegExp][] = [
    ['its format is below 0', damage(16, 0x80), /offsets 1 to 1: its format is -126; 0, 1 and 2 exist$/],
    ['its format is above 2', damage(16, 0x01), /offsets 1 to 1: its format is 3; 0, 1 and 2 exist$/],
    ['its format is an old one', damage(16, 0x02), /offsets 1 to 1: its checksum is wrong$/],
    [
      'its first offset is too high',
      damage(3, 1),
      /offsets 1 to 1: it says that it has the offsets \d{10,} to/,
    ],
  ];
  test.each(cases)('%s', async (_, bytes, reason) => {
    const asked = { from: 0n, end: 3n };
    // The first bytes tell damaged batches apart: these are of another leader's epoch than in other tests.
    bytes.writeInt32BE(7, single(0).length + 12);
    expect(offsetsOf(await decode(bytes, 0, asked))).toEqual(['0']);
    expect(offsetsOf(await decode(bytes, 0, asked))).toEqual(['0']);
    const { messages } = await decode(bytes, 0, asked);
    expect(messages.map(({ offset }) => offset)).toEqual(['0', '1', '2']);
    expect(messages[1]?.unreadable?.reason).toMatch(reason);
    expect(messages[1]?.unreadable).toMatchObject({ firstOffset: '1', lastOffset: '1' });
  });
});

test('a size that is too large is damage in the first batch of a fetch, and elsewhere the end of it', async () => {
  const bytes = damage(9, 1);
  expect(offsetsOf(await decodeAgain(bytes))).toEqual(['0']);
  const asked = { from: 1n, end: 3n };
  const rest = bytes.subarray(single(0).length);
  expect(offsetsOf(await decodeAgain(rest, asked))).toEqual(['1!', '2']);
  const last = rest.subarray(0, single(1).length);
  expect(offsetsOf(await decodeAgain(last, { from: 1n, end: 2n }))).toEqual(['1!']);
  expect(offsetsOf(await decodeAgain(rest.subarray(0, 5), asked))).toEqual(['1!']);
});

test('a damaged batch that Kafka would not find again is unreadable at once', async () => {
  const asked = { from: 0n, end: 3n };
  // A size below 0 would be an error of Kafka's for the whole response.
  expect(offsetsOf(await decode(damage(8, 0x80), 0, asked))).toEqual(['0', '1!', '2']);
  // Kafka is asked for offset 1 next, and passes over a batch that seems to end before: by its first offset, or by its last.
  expect(offsetsOf(await decode(damage(7, 1), 0, asked))).toEqual(['0', '1!', '2']);
  expect(offsetsOf(await decode(damage(23, 0x80), 0, asked))).toEqual(['0', '1!', '2']);
});

test('offsets that go back, do not reach the fetch, or pass the end of the partition are damage', async () => {
  const asked = { from: 10n, end: 20n };
  expect(offsetsOf(await decodeAgain(good(5), asked))).toEqual(['11!']);
  expect(offsetsOf(await decodeAgain(good(19), asked))).toEqual(['11!']);
  expect(offsetsOf(await decodeAgain(Buffer.concat([good(10), good(10), good(14)]), asked))).toEqual([
    '10',
    '11',
    '13!',
    '14',
    '15',
  ]);
  expect(offsetsOf(await decodeAgain(Buffer.concat([good(15), good(12)]), asked))).toEqual([
    '11!',
    '12',
    '13',
  ]);
  // A fetch may begin within a batch, and compaction leaves gaps.
  expect(offsetsOf(await decode(Buffer.concat([good(9), good(14)]), 0, asked))).toEqual([
    '9',
    '10',
    '14',
    '15',
  ]);
});

test('a damaged batch is never a control record or part of a transaction, which are left out', async () => {
  const wrong = recordBatch({
    base: 0,
    records: [record({})],
    attributes: 0x30,
    producerId: 5n,
    intact: false,
  });
  const { messages } = await decodeAgain(wrong);
  expect(messages).toHaveLength(1);
  expect(messages[0]).toMatchObject({ isControlRecord: false, batchContext: { producerId: '-1' } });
  expect(messages[0]?.unreadable).toBeDefined();
});

test('messages of the formats before Kafka 0.11 are read, and a damaged one is unreadable', async () => {
  const old = (base: number, value: string) => {
    const bytes = Buffer.alloc(12 + 14 + value.length);
    bytes.writeBigInt64BE(BigInt(base));
    bytes.writeInt32BE(bytes.length - 12, 8);
    bytes.writeInt32BE(-1, 18);
    bytes.writeInt32BE(value.length, 22);
    bytes.write(value, 26);
    bytes.writeUInt32BE(Bun.hash.crc32(bytes.subarray(16)), 12);
    return bytes;
  };
  const whole = Buffer.concat([old(0, 'a'), old(1, 'b'), good(2)]);
  const { messages } = await decode(whole);
  expect(messages.map(({ value }) => String(value))).toEqual(['a', 'b', 'a', 'b']);
  whole[26] = (whole[26] as number) ^ 1;
  expect(offsetsOf(await decodeAgain(whole)).slice(-2)).toEqual(['2', '3']);
  expect(offsetsOf(await decodeAgain(whole))[0]).toEndWith('!');
});

test('bytes that are no record batches are one unreadable batch', async () => {
  expect(offsetsOf(await decodeAgain(Buffer.alloc(100)))).toEqual(['0!']);
  expect(offsetsOf(await decodeAgain(Buffer.concat([Buffer.alloc(100), good(7)])))).toEqual(['6!', '7', '8']);
});

/** A log in which a producer aborts a transaction, commits one, and aborts another; some messages are of other producers. */
const transactional = () => {
  const data = (base: number) =>
    recordBatch({
      base,
      records: [record({ value: 'a' }), record({ delta: 1, value: 'b' })],
      attributes: 0x10,
      producerId: 7n,
    });
  const marker = (base: number, type: 'abort' | 'commit') => {
    const key = sized(Buffer.from([0, 0, 0, type === 'commit' ? 1 : 0]));
    return recordBatch({ base, records: record({ key }), attributes: 0x30, producerId: 7n });
  };
  const batches = [
    { bytes: good(0), last: 1 },
    { bytes: data(2), last: 3 },
    { bytes: data(4), last: 5 },
    { bytes: marker(6, 'abort'), last: 6 },
    { bytes: data(7), last: 8 },
    { bytes: good(9), last: 10 },
    { bytes: data(11), last: 12 },
    { bytes: marker(13, 'commit'), last: 13 },
    { bytes: data(14), last: 15 },
    { bytes: marker(16, 'abort'), last: 16 },
    { bytes: good(17), last: 18 },
  ];
  return { batches, end: 19 };
};
const readable = [0, 1, 7, 8, 9, 10, 11, 12, 17, 18];
const abortedOnes = [
  { first: 2, marker: 6 },
  { first: 14, marker: 16 },
];

/** Fetches until the end, as a group does: Kafka goes by the last offsets that it finds, and lists the aborted transactions. */
const readCommitted = async ({ batches, end }: ReturnType<typeof transactional>) => {
  const seen: string[] = [];
  let from = 0;
  for (let fetches = 0; from < end && fetches < 40; fetches++) {
    const found = batches.findIndex(
      ({ bytes }) => bytes.readBigInt64BE(0) + BigInt(bytes.readInt32BE(23)) >= from,
    );
    const messages = Buffer.concat(batches.slice(found).map(({ bytes }) => bytes));
    const abortedTransactions = abortedOnes
      .filter(({ marker }) => marker >= from)
      .map(({ first }) => ({ producerId: '7', firstOffset: String(first) }));
    const decoded = await decodeFetched(messages, {
      response: [{ partitions: [{ messages, abortedTransactions }] }],
      fetchedOffset: String(from),
      highWatermark: String(end),
    });
    const asked = decoded.filter(({ offset }) => Number(offset) >= from);
    const committed: FetchedMessage[] = filterAborted({ messages: asked, abortedTransactions });
    seen.push(...offsetsOf({ messages: committed.filter((one) => !one.isControlRecord), cost: 0 }));
    from = Number(decoded.at(-1)?.offset ?? from - 1) + 1;
  }
  return { seen, from };
};

test('of transactions, what was committed is read and what was aborted is not, whichever batch is damaged', async () => {
  expect(await readCommitted(transactional())).toEqual({ seen: readable.map(String), from: 19 });
  for (const at of transactional().batches.keys())
    for (const place of [16, 21, 23, 44, 'last'] as const) {
      const log = transactional();
      const { bytes, last } = log.batches[at] as (typeof log.batches)[number];
      const byte = place === 'last' ? bytes.length - 1 : place;
      bytes[byte] = (bytes[byte] as number) ^ 0x11;
      // Among the first bytes, by which damaged batches are told apart, only those of the leader's epoch are free.
      bytes.writeInt32BE(100 * at + byte, 12);
      const first = at === 0 ? 0 : (log.batches[at - 1]?.last ?? 0) + 1;
      const whole = readable.filter((offset) => offset < first || offset > last).map(String);
      const { seen, from } = await readCommitted(log);
      const name = `batch ${at}, byte ${place}`;
      expect([name, seen.filter((one) => !one.endsWith('!')), from]).toEqual([name, whole, 19]);
      expect([name, seen.filter((one) => one.endsWith('!')).at(-1)]).toEqual([name, `${last}!`]);
    }
});

test('a batch that was read hides no later one, though its damaged last offset lets Kafka find it again', async () => {
  const wrong = recordBatch({ base: 2, records: [record({})], lastDelta: 2_000, intact: false });
  const answer = Buffer.concat([wrong, good(3), good(5), good(7)]);
  for (const from of [3n, 5n, 6n, 7n]) {
    const asked = { from, end: 9n };
    const offsets = offsetsOf(await decodeAgain(answer, asked)).filter(
      (one) => Number.parseInt(one, 10) >= from,
    );
    const wanted = Array.from({ length: Number(9n - from) }, (_, n) => String(from + BigInt(n)));
    expect(offsets).toEqual(wanted);
  }
});
