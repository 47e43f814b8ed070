/** What the embedded broker keeps over kills, torn writes, restarts; and when it refuses to start. */
import { Database } from 'bun:sqlite';
import { expect, setDefaultTimeout, test } from 'bun:test';
import { appendFile, open, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { startBroker } from '../src/broker.ts';
import { startBrokerThread } from '../src/thread.ts';
import { errorCode } from '../src/wire.ts';
import {
  batchOf,
  clientsOf,
  ownProcess,
  rawClient,
  temporaryDirectory,
  testBroker,
} from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

/** The next `Worker` that is made. */
const nextWorker = () => {
  const { Worker } = globalThis;
  const made = Promise.withResolvers<Worker>();
  globalThis.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      made.resolve(this);
      globalThis.Worker = Worker;
    }
  };
  return made.promise;
};

/** A log of four batches of one message each, closed, and the way to start a broker on it. */
const storedLog = async () => {
  const directory = await temporaryDirectory();
  const lines: string[] = [];
  const keep = (fields: object, text: string) => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const start = () =>
    startBroker({ dataDir: directory.path, port: 0, log: { info: keep, warn: keep, error: keep } });
  const broker = await start();
  await using clients = clientsOf(broker.brokers);
  const producer = await clients.producer();
  for (const value of ['0', '1', '2', '3']) await producer.send({ topic: 't', messages: [{ value }] });
  await broker.stop();
  const path = join(directory.path, 'topics', 't.1', '0', '00000000000000000000.log');
  return {
    path,
    size: (await stat(path)).size,
    lines,
    start,
    /** What a consumer reads after a start. */
    async read(count: number) {
      const again = await start();
      await using clients = clientsOf(again.brokers);
      const { values } = await clients.consumer('t', { groupId: 'g' });
      await until(() => values.length >= count);
      const producer = await clients.producer();
      await producer.send({ topic: 't', messages: [{ value: 'new' }] });
      await until(() => values.includes('new'));
      await clients[Symbol.asyncDispose]();
      await again.stop();
      return values;
    },
    [Symbol.asyncDispose]: directory[Symbol.asyncDispose],
  };
};

test('kill -9 while messages are produced loses none that was acknowledged', async () => {
  await using directory = await temporaryDirectory();
  const acknowledged = new Set<string>();
  let port = '0';
  for (let round = 0; round < 2; round++) {
    await using broker = await ownProcess('broker', directory.path, port);
    const brokers = await broker.printed(/listening on (\S+)/);
    port = brokers.split(':')[1] as string;
    await using clients = clientsOf(brokers, 0);
    const producer = await clients.producer();
    const produce = async (lane: number) => {
      for (let i = 0; ; i++) {
        const values = Array.from({ length: 20 }, (_, n) => `${round} ${lane} ${i} ${n} ${'x'.repeat(1000)}`);
        await producer.send({ topic: 't', messages: values.map((value) => ({ value })) });
        for (const value of values) acknowledged.add(value);
      }
    };
    const lanes = [1, 2, 3].map((lane) => produce(lane).catch(() => {}));
    const target = acknowledged.size + 1000;
    await until(() => acknowledged.size > target);
    await broker.kill();
    await Promise.all(lanes);
  }
  const broker = await startBroker({ dataDir: directory.path, port: 0 });
  await using clients = clientsOf(broker.brokers);
  const { values } = await clients.consumer('t', { groupId: 'g' });
  await until(() => values.length >= acknowledged.size && acknowledged.isSubsetOf(new Set(values)));
  await clients[Symbol.asyncDispose]();
  await broker.stop();
});

test('committed offsets survive kill -9', async () => {
  await using directory = await temporaryDirectory();
  await using killed = await ownProcess('broker', directory.path, '0');
  const before = clientsOf(await killed.printed(/listening on (\S+)/));
  const producer = await before.producer();
  await producer.send({ topic: 't', messages: [{ value: '0' }, { value: '1' }] });
  const { values } = await before.consumer('t', { groupId: 'g' });
  await until(() => values.length === 2);
  // At the end a consumer commits what it has read.
  await before[Symbol.asyncDispose]();
  await killed.kill();

  const broker = await startBroker({ dataDir: directory.path, port: 0 });
  await using after = clientsOf(broker.brokers);
  const kept = await (await after.admin()).fetchOffsets({ groupId: 'g', topics: ['t'] });
  expect(kept[0]?.partitions.map(({ offset }) => offset)).toEqual(['2']);
  await after[Symbol.asyncDispose]();
  await broker.stop();
});

test('a producer and a group of consumers go on when the broker comes back after kill -9', async () => {
  await using directory = await temporaryDirectory();
  await using first = await ownProcess('broker', directory.path, '0');
  const brokers = await first.printed(/listening on (\S+)/);
  await using clients = clientsOf(brokers, 1000);
  const producer = await clients.producer();
  const produce = (value: string) => producer.send({ topic: 't', messages: [{ value }] });
  await produce('before');
  const one = await clients.consumer('t', { groupId: 'g', sessionTimeout: 6000, heartbeatInterval: 100 });
  await until(() => one.values.length === 1);
  await first.kill();
  const during = produce('during');
  const second = await startBroker({ dataDir: directory.path, port: Number(brokers.split(':')[1]) });
  await during;
  await produce('after');
  await until(() => ['before', 'during', 'after'].every((value) => one.values.includes(value)));
  // While there still is a broker: without one these clients would try again for minutes.
  await clients[Symbol.asyncDispose]();
  await second.stop();
});

test('a torn tail is moved to the side file and logged, wherever the write stopped', async () => {
  for (const lost of [1, 20, 60, 67]) {
    await using log = await storedLog();
    await truncate(log.path, log.size - lost);
    await (await log.start()).stop();
    expect((await stat(log.path)).size).toBe((3 * log.size) / 4);
    expect(await log.read(3)).toEqual(['0', '1', '2', 'new']);
    const logged = log.lines.filter((line) => line.includes('damaged'));
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain(`"bytes":${log.size / 4 - lost},"ranges":1`);
    expect((await stat(`${log.path}.damaged`)).size).toBe(log.size / 4 - lost);
  }
});

test('a last batch whose bytes are not what was sent, or that is all zeros, is set aside', async () => {
  await using damaged = await storedLog();
  const file = await open(damaged.path, 'r+');
  await file.write('?', damaged.size - 2);
  await file.close();
  expect(await damaged.read(3)).toEqual(['0', '1', '2', 'new']);

  await using zeros = await storedLog();
  await appendFile(zeros.path, Buffer.alloc(5000));
  expect(await zeros.read(4)).toEqual(['0', '1', '2', '3', 'new']);
});

test('a flipped bit in the length, the offset or the records of a batch costs that batch and no other', async () => {
  const [magic, size, offset, records] = [16, 8, 7, 65];
  for (const at of [magic, size, size + 3, offset, records]) {
    await using log = await storedLog();
    const file = await open(log.path, 'r+');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, log.size / 4 + at);
    await file.write(Buffer.from([(buffer[0] as number) ^ 0x40]), 0, 1, log.size / 4 + at);
    await file.close();
    expect(await log.read(3)).toEqual(['0', '2', '3', 'new']);
    expect((await stat(`${log.path}.damaged`)).size).toBe(log.size / 4);
    const logged = log.lines.filter((line) => line.includes('damaged'));
    expect(logged).toHaveLength(1);
  }
});

test('a log of the former format, one file for a partition, is taken over', async () => {
  await using log = await storedLog();
  const directory = dirname(log.path);
  await rename(log.path, `${directory}.old`);
  await rm(directory, { recursive: true });
  await rename(`${directory}.old`, `${directory}.log`);
  expect(await log.read(4)).toEqual(['0', '1', '2', '3', 'new']);
});

test('damage while it runs is answered with CORRUPT_MESSAGE; nothing hangs, and a restart gets over it', async () => {
  await using log = await storedLog();
  const broker = await log.start();
  using client = await rawClient(broker.port);
  const file = await open(log.path, 'r+');
  await file.write(Buffer.from([0, 0, 0, 0]), 0, 4, log.size / 4 + 8);
  await file.close();
  const errorOf = async (offset: number) => (await client.fetch('t', offset)).error;
  expect(await errorOf(1)).toBe(errorCode('CORRUPT_MESSAGE'));
  const found = await client.listOffsets('t', Date.now() - 60_000);
  expect(found).toEqual({ error: 0, offset: 0 });
  await broker.stop();

  const again = await log.start();
  using other = await rawClient(again.port);
  expect(await other.listOffsets('t', 0)).toEqual({ error: 0, offset: 0 });
  expect((await other.fetch('t', 1)).error).toBe(0);
  await again.stop();
});

test('duplicates of an idempotent producer are known again after a restart', async () => {
  await using directory = await temporaryDirectory();
  const first = await startBroker({ dataDir: directory.path, port: 0 });
  const batch = batchOf(['a', 'b'], { producerId: 77n, sequence: 0 });
  using before = await rawClient(first.port);
  await using clients = clientsOf(first.brokers);
  await (await clients.admin()).createTopics({ topics: [{ topic: 't' }] });
  await before.produce('t', 0, batchOf(['first']));
  expect(await before.produce('t', 0, batch)).toEqual({ error: 0, offset: 1 });
  await clients[Symbol.asyncDispose]();
  await first.stop();
  const second = await startBroker({ dataDir: directory.path, port: 0 });
  using after = await rawClient(second.port);
  expect(await after.produce('t', 0, batch)).toEqual({ error: 0, offset: 1 });
  expect(await after.produce('t', 0, batchOf(['c'], { producerId: 77n, sequence: 2 }))).toEqual({
    error: 0,
    offset: 3,
  });
  await second.stop();
});

test('a second broker on the same directory is refused and does not disturb the first', async () => {
  await using broker = await testBroker();
  const refused = /is in use by another process\. Stop it, or use another directory\.$/;
  await expect(startBroker({ dataDir: broker.dataDir, port: 0 })).rejects.toThrow(refused);
  await using other = await ownProcess('broker', broker.dataDir, '0');
  expect(await other.printed(/failed: (.*)/)).toMatch(refused);
  const producer = await broker.producer();
  await producer.send({ topic: 't', messages: [{ value: '1' }] });
});

test('a directory from a newer version is refused', async () => {
  await using directory = await temporaryDirectory();
  const newer = new Database(join(directory.path, 'catalog.sqlite'), { create: true });
  newer.run('pragma user_version = 9');
  newer.close();
  await expect(startBroker({ dataDir: directory.path, port: 0 })).rejects.toThrow(
    /was written by a newer version .*, or use another directory/,
  );
});

test('a corrupt catalog, a file in place of the directory and a path below a file are refused in one line', async () => {
  await using directory = await temporaryDirectory();
  const file = join(directory.path, 'catalog.sqlite');
  await Bun.write(file, 'not a database, but long enough to be looked at '.repeat(100));
  const start = (dataDir: string) => startBroker({ dataDir, port: 0 });
  await expect(start(directory.path)).rejects.toThrow(
    /^\S+ is corrupt \(.*\)\. Move it away to start with empty data, .*$/,
  );
  await expect(start(file)).rejects.toThrow(
    /^\S+ cannot be written \(.*\)\. Make it writable .* or use another directory\.$/,
  );
  await expect(start(join(file, 'below'))).rejects.toThrow(
    /^\S+ cannot be written \(.*\)\. Make it writable .*$/,
  );
});

test('a deleted topic is gone with its messages and offsets, and a new one of its name is empty', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer()]);
  await producer.send({ topic: 't', messages: [{ value: '1' }] });
  await admin.setOffsets({ groupId: 'g', topic: 't', partitions: [{ partition: 0, offset: '1' }] });
  await admin.deleteTopics({ topics: ['t'] });
  await admin.createTopics({ topics: [{ topic: 't' }] });
  expect(await admin.fetchTopicOffsets('t')).toMatchObject([{ high: '0' }]);
  expect((await admin.fetchOffsets({ groupId: 'g', topics: ['t'] }))[0]?.partitions[0]?.offset).toBe('-1');
});

test('in a thread of its own it serves, stops on request, and reports in one line why it cannot start', async () => {
  await using directory = await temporaryDirectory();
  const thread = await startBrokerThread({ dataDir: directory.path, port: 0 });
  const port = Number(thread.brokers.split(':')[1]);
  await using clients = clientsOf(thread.brokers);
  const producer = await clients.producer();
  await producer.send({ topic: 't', messages: [{ value: '1' }] });

  const advice = { directory: 'set DIRECTORY', port: 'set PORT to another' };
  const second = startBrokerThread({ dataDir: join(directory.path, 'other'), port, advice });
  const taken = `Port ${port} on 127.0.0.1 is taken. Stop what listens there, or set PORT to another.`;
  expect(await second.catch((error) => error.message)).toBe(taken);

  await clients[Symbol.asyncDispose]();
  await thread.stop();
  expect(await thread.ended).toBeUndefined();
  const again = await startBrokerThread({ dataDir: directory.path, port });
  await again.stop();
});

test('a thread that ends unexpectedly reports it', async () => {
  await using directory = await temporaryDirectory();
  const worker = nextWorker();
  const thread = await startBrokerThread({ dataDir: directory.path, port: 0 });
  (await worker).terminate();
  expect(await thread.ended).toEqual(new Error('The thread of the embedded broker ended.'));
  await thread.stop();
});
