/** The embedded broker byte by byte: what it answers to requests that no well-behaved client sends. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { apiKeys, errorCode, Reader, readRecordsBatch, type Writer, writeText } from '../src/wire.ts';
import { batchOf, rawClient, testBroker } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const withTopic = async (options = {}) => {
  const broker = await testBroker(options);
  await (await broker.admin()).createTopics({ topics: [{ topic: 't' }] });
  return broker;
};

/** Asks for messages of one partition. */
const fetchFrom =
  (offset: number, { maxWait = 0, minBytes = 1, maxBytes = 1e6, topic = 't' } = {}) =>
  (w: Writer) => {
    w.appendInt32(-1)
      .appendInt32(maxWait)
      .appendInt32(minBytes)
      .appendInt32(1e7)
      .appendInt8(0)
      .appendInt32(1);
    writeText(w, topic).appendInt32(1).appendInt32(0).appendInt64(BigInt(offset)).appendInt32(maxBytes);
  };

/** The same in version 10, the `number`th request of a session; the client knows of this leader epoch. */
const fetchIn = (session: number, number: number, epoch: number) => (w: Writer) => {
  w.appendInt32(-1).appendInt32(0).appendInt32(1).appendInt32(1e7).appendInt8(0);
  w.appendInt32(session).appendInt32(number).appendInt32(1);
  writeText(w, 't').appendInt32(1).appendInt32(0).appendInt32(epoch).appendInt64(0n).appendInt64(-1n);
  w.appendInt32(1e6).appendInt32(0);
};

/** What this process has read from files so far. */
const bytesRead = () => Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);

const readFetch = (reader: Reader, version = 4) => {
  reader.readInt32();
  if (version >= 7) expect([reader.readInt16(), reader.readInt32()]).toEqual([0, 0]);
  reader.readInt32();
  reader.readString(false);
  reader.readInt32();
  reader.readInt32();
  const [error, end] = [reader.readInt16(), Number(reader.readInt64())];
  reader.readInt64();
  if (version >= 5) reader.readInt64();
  reader.readInt32();
  const bytes = Reader.from(Buffer.from(reader.readBytes(false)));
  const values: string[] = [];
  const offsets: number[] = [];
  while (bytes.remaining > 0) {
    const batch = readRecordsBatch(bytes);
    for (const { value, offsetDelta } of batch.records) {
      values.push(String(value));
      offsets.push(Number(batch.firstOffset) + offsetDelta);
    }
  }
  return { error, end, values, offsets };
};

test('what is fetched begins with the batch that holds the offset, and is at least that one', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  for (const values of [['0', '1', '2'], ['3'], ['4', '5']]) {
    expect(await client.produce('t', 0, batchOf(values))).toEqual({ error: 0, offset: Number(values[0]) });
  }
  const fetch = async (offset: number, options = {}) =>
    readFetch(await client.request('Fetch', 4, fetchFrom(offset, options)));
  expect((await fetch(0)).values).toEqual(['0', '1', '2', '3', '4', '5']);
  expect((await fetch(2)).offsets).toEqual([0, 1, 2, 3, 4, 5]);
  expect((await fetch(3)).offsets).toEqual([3, 4, 5]);
  expect((await fetch(5, { maxBytes: 1 })).values).toEqual(['4', '5']);
  expect((await fetch(1, { maxBytes: -1 })).values).toEqual(['0', '1', '2']);
  expect(await fetch(6)).toEqual({ error: 0, end: 6, values: [], offsets: [] });
  for (const outside of [7, -1]) expect((await fetch(outside)).error).toBe(errorCode('OFFSET_OUT_OF_RANGE'));
  const unknown = await fetch(0, { topic: 'unknown' });
  expect(unknown.error).toBe(errorCode('UNKNOWN_TOPIC_OR_PARTITION'));
});

test('no fetch session is begun, so a request that continues one is refused; so is one that knows a later leader', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  await client.produce('t', 0, batchOf(['0', '1']));
  const fetch = async (session: number, number: number, epoch: number) =>
    readFetch(await client.request('Fetch', 10, fetchIn(session, number, epoch)), 10);
  // Outside of sessions; to begin one; to end one and begin no other.
  for (const [session, number] of [
    [0, -1],
    [0, 0],
    [5, -1],
  ] as const)
    for (const epoch of [-1, 0])
      expect(await fetch(session, number, epoch)).toMatchObject({ error: 0, end: 2, values: ['0', '1'] });
  expect((await fetch(0, -1, 1)).error).toBe(errorCode('UNKNOWN_LEADER_EPOCH'));

  const refusal = await client.request('Fetch', 10, fetchIn(5, 1, 0));
  expect([refusal.readInt32(), refusal.readInt16()]).toEqual([0, errorCode('FETCH_SESSION_ID_NOT_FOUND')]);
  expect([refusal.readInt32(), refusal.readInt32(), refusal.remaining]).toEqual([5, 0, 0]);
});

test('versions 0 to 2 of Produce are offered, as librdkafka compresses only then, and refused', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const answer = await client.request('ApiVersions', 0, () => {});
  expect(answer.readInt16()).toBe(0);
  const offered = answer.readArray(
    () => [answer.readInt16(), answer.readInt16(), answer.readInt16()],
    false,
    false,
  );
  expect(offered).toContainEqual([apiKeys.Produce as number, 0, 7]);
  expect(offered).toContainEqual([apiKeys.Fetch as number, 4, 10]);
  const body = client.frame('Produce', 2, (w) => w.appendInt16(-1).appendInt32(1000).appendInt32(0));
  client.send(body);
  await until(() => client.isClosed());
  expect(broker.lines.join()).toContain('Produce is supported in versions 3 to 7, not 2');
});

test('every offset is found in a log of many batches of many sizes', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const sizes = [1, 100, 40_000, 7, 300_000, 3, 3, 3, 70_000, 12];
  let offset = 0;
  for (let i = 0; i < 300; i++) {
    const values = Array.from({ length: 1 + (i % 3) }, (_, n) =>
      `${offset + n}`.padEnd(sizes[i % 10] as number),
    );
    expect(await client.produce('t', 0, batchOf(values))).toEqual({ error: 0, offset });
    offset += values.length;
  }
  for (let from = 0; from < offset; from++) {
    const got = readFetch(await client.request('Fetch', 4, fetchFrom(from, { maxBytes: 100 })));
    expect(got.offsets).toContain(from);
    expect(got.values[got.offsets.indexOf(from)]?.trim()).toBe(String(from));
  }
});

test('a long poll is answered as soon as there is enough, and no later than it asked', async () => {
  await using broker = await withTopic();
  using consumer = await rawClient(broker.port);
  using producer = await rawClient(broker.port);
  const timed = async (options: object, meanwhile = async () => {}) => {
    const start = performance.now();
    const answer = consumer.request('Fetch', 4, fetchFrom(0, options));
    await meanwhile();
    return { ...readFetch(await answer), took: performance.now() - start };
  };
  const empty = await timed({ maxWait: 200 });
  expect(empty.values).toEqual([]);
  expect(empty.took).toBeGreaterThan(190);

  const produce = async () => void (await producer.produce('t', 0, batchOf(['x'.repeat(100)])));
  const one = await timed({ maxWait: 10_000 }, produce);
  expect(one.values).toHaveLength(1);
  expect(one.took).toBeLessThan(5_000);
  const three = await timed({ maxWait: 10_000, minBytes: 400 }, () => produce().then(produce));
  expect(three.values).toHaveLength(3);
  expect(three.took).toBeLessThan(5_000);
  const tooFew = await timed({ maxWait: 100, minBytes: 100_000 });
  expect(tooFew.values).toHaveLength(3);
});

test('a consumer that waits for many bytes does not have the log read again at each append', async () => {
  await using broker = await withTopic();
  using producer = await rawClient(broker.port);
  using consumer = await rawClient(broker.port);
  const reads: number[] = [];
  const waiting = consumer.request('Fetch', 4, fetchFrom(0, { maxWait: 20_000, minBytes: 60_000 }));
  for (let i = 0; i < 60; i++) {
    const before = bytesRead();
    await producer.produce('t', 0, batchOf(['x'.repeat(1000)]));
    reads.push(bytesRead() - before);
  }
  expect(readFetch(await waiting).values.length).toBeGreaterThan(55);
  // Once for what there is at first, once for the answer.
  expect(reads.filter((bytes) => bytes > 2000).length).toBeLessThan(3);
});

test('the records of an error are empty, not null', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const { error, lengthOfRecords } = await client.fetch('t', 99);
  expect({ error, lengthOfRecords }).toEqual({ error: errorCode('OFFSET_OUT_OF_RANGE'), lengthOfRecords: 0 });
});

test('a batch that is damaged, cut short, doubled or of an old format is refused, and nothing is stored', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const refused = async (batch: Buffer) => (await client.produce('t', 0, batch)).error;
  const changed = (change: (batch: Buffer) => void) => {
    const batch = Buffer.from(batchOf(['value']));
    change(batch);
    return batch;
  };
  expect(await refused(changed((batch) => batch.writeUInt8(63, batch.length - 2)))).toBe(
    errorCode('CORRUPT_MESSAGE'),
  );
  expect(await refused(batchOf(['value']).subarray(0, -1))).toBe(errorCode('CORRUPT_MESSAGE'));
  expect(await refused(Buffer.alloc(0))).toBe(errorCode('CORRUPT_MESSAGE'));
  expect(await refused(Buffer.alloc(60))).toBe(errorCode('CORRUPT_MESSAGE'));
  expect(await refused(Buffer.concat([batchOf(['1']), batchOf(['2'])]))).toBe(errorCode('INVALID_RECORD'));
  const oldFormat = changed((batch) => batch.writeInt8(1, 16));
  expect(await refused(oldFormat)).toBe(errorCode('UNSUPPORTED_FOR_MESSAGE_FORMAT'));
  expect(broker.lines.filter((line) => line.includes('message format 1 is not supported'))).toHaveLength(1);
  expect((await client.produce('t', 1, batchOf(['1']))).error).toBe(errorCode('UNKNOWN_TOPIC_OR_PARTITION'));
  expect((await client.produce('t', 0, batchOf(['1']), 2)).error).toBe(errorCode('INVALID_REQUIRED_ACKS'));
  expect(await client.produce('t', 0, batchOf(['good']))).toEqual({ error: 0, offset: 0 });
});

test('an idempotent producer is held to its sequence, over the last five batches', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const send = (sequence: number) =>
    client.produce('t', 0, batchOf(['a', 'b'], { producerId: 5n, sequence }));
  for (let i = 0; i < 6; i++) expect(await send(2 * i)).toEqual({ error: 0, offset: 2 * i });
  for (let i = 1; i < 6; i++) expect(await send(2 * i)).toEqual({ error: 0, offset: 2 * i });
  expect((await send(14)).error).toBe(errorCode('OUT_OF_ORDER_SEQUENCE_NUMBER'));
  expect((await send(0)).error).toBe(errorCode('OUT_OF_ORDER_SEQUENCE_NUMBER'));
  expect(await send(12)).toEqual({ error: 0, offset: 12 });
});

test('requests sent in one go are answered in their order, however they are cut into packets', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const requests = Buffer.concat([
    client.frame('Fetch', 4, fetchFrom(0, { maxWait: 50 })),
    client.frame('ApiVersions', 0, () => {}),
    client.frame('Heartbeat', 0, (w) => {
      writeText(w, 'nobody').appendInt32(1);
      writeText(w, 'unknown');
    }),
  ]);
  for (let at = 0; at < requests.length; at += 7) {
    client.send(requests.subarray(at, at + 7));
    await new Promise(setImmediate);
  }
  expect(readFetch(await client.answer()).end).toBe(0);
  const versions = await client.answer();
  expect(versions.readInt16()).toBe(0);
  expect(versions.readInt32()).toBeGreaterThan(20);
  expect((await client.answer()).readInt16()).toBe(errorCode('UNKNOWN_MEMBER_ID'));
});

test('a version of ApiVersions that it does not know is answered in version 0 with what it does know', async () => {
  await using broker = await testBroker();
  using client = await rawClient(broker.port);
  const answer = await client.request('ApiVersions', 4, (w) => w.appendInt32(0x7f7f7f7f));
  expect(answer.readInt16()).toBe(errorCode('UNSUPPORTED_VERSION'));
  expect(answer.readInt32()).toBeGreaterThan(20);
});

test('a client that breaks the rules loses its connection, and no other does', async () => {
  await using broker = await withTopic({ maxRequestBytes: 1_000_000 });
  using good = await rawClient(broker.port);
  const int32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const group = (w: Writer) => void writeText(w, 'g');
  const bad: Record<string, Buffer> = {
    'an HTTP request': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'a negative length': int32(-1),
    'a length above the limit': int32(1_000_001),
    'an empty request': int32(0),
    'an unknown API': Buffer.concat([int32(10), Buffer.alloc(10, 0x7f)]),
    'an unsupported version': good.frame('Produce', 2, () => {}),
    'a body that ends early': good.frame('JoinGroup', 2, group),
    'a string with a length below null': good.frame('Metadata', 1, (w) => w.appendInt32(1).appendInt16(-2)),
    'a list of two thousand million entries': good.frame('Metadata', 1, (w) =>
      w.appendInt32(0x7fffffff).appendInt16(-2),
    ),
    'a list with a length below null': good.frame('Metadata', 1, (w) => w.appendInt32(-2)),
    'bytes longer than the request': good.frame('SyncGroup', 0, (w) => {
      writeText(w, 'g').appendInt32(1);
      writeText(w, 'm').appendInt32(1);
      writeText(w, 'm').appendInt32(1_000_000);
    }),
  };
  for (const [what, bytes] of Object.entries(bad)) {
    using client = await rawClient(broker.port);
    client.send(bytes);
    await until(() => client.isClosed()).catch(() => expect(what).toBe('closed'));
    expect(broker.lines.at(-1)).toContain('closed a connection');
  }
  expect(await good.produce('t', 0, batchOf(['still here']))).toEqual({ error: 0, offset: 0 });
});

test('random bytes, and requests with random bytes in them, close their connection at most', async () => {
  await using broker = await withTopic();
  using good = await rawClient(broker.port);
  let seed = 4;
  const random = (below: number) => {
    // A linear congruential generator: the same bytes in every run.
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => random(256)));
  const apis = [
    'Produce',
    'Fetch',
    'ListOffsets',
    'Metadata',
    'OffsetCommit',
    'OffsetFetch',
    'FindCoordinator',
  ];
  apis.push(
    'JoinGroup',
    'Heartbeat',
    'LeaveGroup',
    'SyncGroup',
    'DescribeGroups',
    'ListGroups',
    'CreateTopics',
  );
  apis.push('InitProducerId', 'DescribeConfigs', 'AlterConfigs', 'IncrementalAlterConfigs', 'DeleteGroups');
  const valid = [
    good.frame('Fetch', 4, fetchFrom(0)),
    good.frame('Metadata', 1, (w) => writeText(w.appendInt32(1), 'made')),
    good.frame('Heartbeat', 0, (w) => writeText(writeText(w, 'g').appendInt32(1), 'm')),
  ];
  const make = [
    () => noise(1 + random(200)),
    () => good.frame(apis[random(apis.length)] as string, random(5), (w) => w.append(noise(1 + random(100)))),
    () => {
      const bytes = Buffer.from(valid[random(valid.length)] as Buffer);
      for (let i = 0; i < 3; i++) bytes.writeUInt8(random(256), 4 + random(bytes.length - 4));
      return bytes;
    },
    () => {
      const bytes = valid[random(valid.length)] as Buffer;
      return bytes.subarray(0, 1 + random(bytes.length - 1));
    },
  ];
  for (let i = 0; i < 600; i++) {
    using client = await rawClient(broker.port);
    client.send((make[i % make.length] as () => Buffer)());
    if (i % 10 === 0) expect((await good.produce('t', 0, batchOf(['alive']))).error).toBe(0);
  }
  expect((await good.produce('t', 0, batchOf(['last']))).offset).toBe(60);
  expect(broker.lines.filter((line) => line.includes('closed a connection')).length).toBeGreaterThan(200);
  expect(broker.lines.filter((line) => line.includes('a request failed'))).toEqual([]);
});

test('a producer that takes no answer gets none, and loses its connection when its batch is refused', async () => {
  await using broker = await withTopic();
  using client = await rawClient(broker.port);
  const produce = (topic: string) =>
    client.frame('Produce', 3, (w) => {
      writeText(w, null).appendInt16(0).appendInt32(1000).appendInt32(1);
      writeText(w, topic)
        .appendInt32(1)
        .appendInt32(0)
        .appendBytes(batchOf(['1']), false);
    });
  client.send(produce('t'));
  const { end } = readFetch(await client.request('Fetch', 4, fetchFrom(0)));
  expect(end).toBe(1);
  client.send(produce('unknown'));
  await until(() => client.isClosed());
});
