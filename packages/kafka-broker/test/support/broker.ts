/** What the tests of the embedded broker share. Run as a program, it is a broker in a process of its own: directory, port. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRecordsBatch } from '@platformatic/kafka';
import { type Admin, type Consumer, type ConsumerConfig, Kafka, logLevel, type Producer } from 'kafkajs';
import { type BrokerOptions, startBroker } from '../../src/broker.ts';
import { apiKeys, Reader, Writer, writeBytes, writeText } from '../../src/wire.ts';
import { until } from './until.ts';

/** An empty directory that is removed when its scope ends. */
export const temporaryDirectory = async () => {
  const path = await mkdtemp(join(tmpdir(), 'kafka-broker-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
};

/** kafkajs clients of a broker, connected; all are disconnected when their scope ends. */
export const clientsOf = (brokers: string, retries = 20) => {
  const retry = { initialRetryTime: 20, maxRetryTime: 200, retries };
  const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING, retry });
  const open: { disconnect(): Promise<void> }[] = [];
  let isClosed = false;
  const connected = async <T extends Admin | Consumer | Producer>(client: T): Promise<T> => {
    await client.connect();
    open.push(client);
    return client;
  };
  return {
    kafka,
    admin: () => connected(kafka.admin()),
    producer: (options = {}) => connected(kafka.producer({ createPartitioner: roundRobin, ...options })),
    /** Reads `topic` from its beginning into `values`. */
    async consumer(topic: string, config: ConsumerConfig) {
      const consumer = await connected(kafka.consumer({ retry, maxWaitTimeInMs: 50, ...config }));
      const values: string[] = [];
      const run = async () => {
        await consumer.subscribe({ topic, fromBeginning: true });
        await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) });
      };
      // Kafkajs gives up for good when no broker answers while it looks for the coordinator.
      consumer.on(consumer.events.CRASH, async ({ payload }) => {
        for (let isUp = payload.restart; !isUp && !isClosed; )
          isUp = await consumer
            .connect()
            .then(run)
            .then(
              () => true,
              () => Bun.sleep(20).then(() => false),
            );
      });
      await run();
      return { consumer, values };
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      await Promise.all(open.map((client) => client.disconnect()));
    },
  };
};

/** Kafkajs's own partitioner begins at random; this one begins at partition 0. */
const roundRobin = () => {
  let next = 0;
  return ({ partitionMetadata }: { partitionMetadata: unknown[] }) => next++ % partitionMetadata.length;
};

/** A broker on this thread with its own directory, and clients; everything ends with the scope. */
export const testBroker = async (options: Partial<BrokerOptions> = {}) => {
  const directory = await temporaryDirectory();
  const lines: string[] = [];
  const keep = (fields: object, text: string) => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const log = { info: keep, warn: keep, error: keep };
  const broker = await startBroker({
    dataDir: directory.path,
    port: 0,
    minSessionTimeout: 300,
    // Tests send messages of 1970.
    topicDefaults: { 'retention.ms': '-1' },
    log,
    ...options,
  });
  const clients = clientsOf(broker.brokers);
  return {
    ...clients,
    ...broker,
    dataDir: directory.path,
    lines,
    async [Symbol.asyncDispose]() {
      await clients[Symbol.asyncDispose]();
      await broker.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
};

/** This file as a process that can be killed: a broker (`dataDir`, `port`) or a consumer (`brokers`, `topic`, `group`). */
export const ownProcess = async (kind: 'broker' | 'consumer', ...args: string[]) => {
  const child = Bun.spawn([process.execPath, import.meta.path, kind, ...args], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  let output = '';
  const reading = (async () => {
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) output += part.value;
  })();
  const kill = async () => {
    child.kill('SIGKILL');
    await child.exited;
    await reading;
  };
  return {
    output: () => output,
    /** Resolves with the first group of the pattern once the process has printed it. */
    printed: async (pattern: RegExp) => (await until(() => output.match(pattern), 20_000))[1] ?? '',
    kill,
    [Symbol.asyncDispose]: kill,
  };
};

/** A record batch of these values, as an idempotent producer sends it if `producerId` is given. */
export const batchOf = (
  values: string[],
  { producerId = -1n, sequence = -1, timestamp = 1000n } = {},
): Buffer => {
  const messages = values.map((value, i) => ({
    topic: 't',
    partition: 0,
    value: Buffer.from(value),
    timestamp: timestamp + BigInt(i),
  }));
  const sequences = { getWithDefault: () => sequence };
  return createRecordsBatch(messages, { producerId, sequences } as never).buffer;
};

const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** What the batches at the beginning of partition 0 are compressed with, one after another. */
export const codecs = async (port: number, topic: string): Promise<(string | undefined)[]> => {
  using client = await rawClient(port);
  const { bytes } = await client.fetch(topic, 0);
  const found: (string | undefined)[] = [];
  // A batch: first offset (8 bytes), length of what follows (4), and in that after 9 bytes the attributes: three bits name the codec.
  for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8))
    found.push(codecNames[bytes.readInt16BE(at + 21) & 7]);
  return found;
};

/** A client that sends what it is told, byte by byte if need be. */
export const rawClient = async (port: number, hostname = '127.0.0.1') => {
  let received = Buffer.alloc(0);
  let isClosed = false;
  let event = Promise.withResolvers<void>();
  const happened = () => {
    event.resolve();
    event = Promise.withResolvers();
  };
  const closed = () => {
    isClosed = true;
    happened();
  };
  const data = (_: unknown, chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    happened();
  };
  const socket = await Bun.connect({
    hostname,
    port,
    socket: { data, close: closed, error: closed },
  });
  const frame = (api: string, version: number, body: (writer: Writer) => void): Buffer => {
    const writer = Writer.create()
      .appendInt16(apiKeys[api] as number)
      .appendInt16(version)
      .appendInt32(7);
    writeText(writer, 'raw');
    body(writer);
    return writer.prependLength().buffer;
  };
  const answer = async (): Promise<Reader> => {
    const whole = () => received.length >= 4 && received.length >= 4 + received.readInt32BE();
    while (!whole()) {
      if (isClosed) throw new Error('the connection was closed');
      await event.promise;
    }
    const length = 4 + received.readInt32BE();
    const reader = Reader.from(received.subarray(8, length));
    received = received.subarray(length);
    return reader;
  };
  return {
    frame,
    answer,
    send: (bytes: Uint8Array) => socket.write(bytes),
    request(api: string, version: number, body: (writer: Writer) => void) {
      socket.write(frame(api, version, body));
      return answer();
    },
    /** Produces one batch; resolves with the error code and the offset. */
    async produce(topic: string, partition: number, batch: Buffer, acks = -1) {
      const reader = await this.request('Produce', 3, (w) => {
        writeText(w, null).appendInt16(acks).appendInt32(1000).appendInt32(1);
        writeText(w, topic).appendInt32(1).appendInt32(partition);
        writeBytes(w, batch);
      });
      reader.readInt32();
      reader.readString(false);
      reader.readInt32();
      reader.readInt32();
      return { error: reader.readInt16(), offset: Number(reader.readInt64()) };
    },
    /** Fetches from partition 0 without waiting; resolves with the error and the records' bytes. */
    async fetch(topic: string, offset: number) {
      const reader = await this.request('Fetch', 4, (w) => {
        w.appendInt32(-1).appendInt32(0).appendInt32(1).appendInt32(1e7).appendInt8(0).appendInt32(1);
        writeText(w, topic).appendInt32(1).appendInt32(0).appendInt64(BigInt(offset)).appendInt32(1e6);
      });
      for (let skipped = 0; skipped < 2; skipped++) reader.readInt32();
      reader.readString(false);
      for (let skipped = 0; skipped < 2; skipped++) reader.readInt32();
      const error = reader.readInt16();
      reader.readInt64();
      reader.readInt64();
      reader.readInt32();
      return { error, lengthOfRecords: reader.peekInt32(), bytes: Buffer.from(reader.readBytes(false)) };
    },
    /** Asks for the first offset at a time, in partition 0. */
    async listOffsets(topic: string, timestamp: number) {
      const reader = await this.request('ListOffsets', 1, (w) => {
        w.appendInt32(-1).appendInt32(1);
        writeText(w, topic).appendInt32(1).appendInt32(0).appendInt64(BigInt(timestamp));
      });
      reader.readInt32();
      reader.readString(false);
      reader.readInt32();
      reader.readInt32();
      const error = reader.readInt16();
      reader.readInt64();
      return { error, offset: Number(reader.readInt64()) };
    },
    isClosed: () => isClosed,
    [Symbol.dispose]: () => void socket.end(),
  };
};

const runBroker = async (dataDir: string, port: string) => {
  const print = (_: object, text: string) => console.log(text);
  const log = { info: print, warn: print, error: print };
  const started = startBroker({ dataDir, port: Number(port), log });
  console.log(
    await started.then(
      ({ brokers }) => `listening on ${brokers}`,
      (error) => `failed: ${error.message}`,
    ),
  );
};

const runConsumer = async (brokers: string, topic: string, groupId: string) => {
  const { values } = await clientsOf(brokers).consumer(topic, {
    groupId,
    sessionTimeout: 1000,
    heartbeatInterval: 100,
  });
  for (;;) console.log(await until(() => values.shift(), 60_000));
};

if (import.meta.main) {
  const [kind, first = '', second = '', third = ''] = process.argv.slice(2);
  await (kind === 'broker' ? runBroker(first, second) : runConsumer(first, second, third));
}
