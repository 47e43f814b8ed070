/**
 * Messages per second through the broker with kafkajs, against writing and reading the same bytes with bare files in the
 * same run; and through the Kafka at KAFKA_BROKERS if that is set, with the same client and the same work. All have their
 * logs on disk: `bun bench/broker.ts [messages] [rounds]`.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { startBrokerThread } from '../src/thread.ts';

const [messages = 100_000, rounds = 3] = process.argv.slice(2).map(Number);
const messageBytes = 1300;
const partitions = 4;
const messagesPerRequest = 500;
const requestsAtOnce = 4;

type Rates = { produced: number; consumed: number };

/** Messages per second, for a topic of its own that is deleted again. */
const measure = async (brokers: string[], messages: number): Promise<Rates> => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.ERROR });
  const topic = `bench-${crypto.randomUUID()}`;
  const admin = kafka.admin();
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 100 });
  await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });

  // Random letters, for a file system that compresses.
  const value = Buffer.from(
    crypto.getRandomValues(new Uint8Array(messageBytes)).map((byte) => 97 + (byte % 26)),
  );
  const batch = Array.from({ length: messagesPerRequest }, (_, i) => ({ key: `key ${i}`, value }));
  let left = messages / messagesPerRequest;
  const startProducing = performance.now();
  const lane = async () => {
    while (left-- > 0) await producer.send({ topic, messages: batch });
  };
  await Promise.all(Array.from({ length: requestsAtOnce }, lane));
  const produced = (messages / (performance.now() - startProducing)) * 1000;

  const all = Promise.withResolvers<void>();
  let first = 0;
  let count = 0;
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      // Joining the group is not part of the work.
      first ||= performance.now();
      count += batch.messages.length;
      if (count >= messages) all.resolve();
    },
  });
  await all.promise;
  const consumed = (count / (performance.now() - first)) * 1000;
  await consumer.disconnect();
  await admin.deleteTopics({ topics: [topic] });
  await Promise.all([admin.disconnect(), producer.disconnect()]);
  return { produced, consumed };
};

/** The least that a log costs: the same bytes, appended in the same pieces and read again. */
const bare = (path: string): Rates => {
  const piece = Buffer.alloc(messageBytes * messagesPerRequest, 'x');
  const pieces = messages / messagesPerRequest;
  const file = openSync(path, 'w+');
  const timed = (work: (piece: number) => void) => {
    const from = performance.now();
    for (let i = 0; i < pieces; i++) work(i);
    return (messages / (performance.now() - from)) * 1000;
  };
  const produced = timed(() => writeSync(file, piece));
  const consumed = timed((i) => readSync(file, piece, 0, piece.length, i * piece.length));
  closeSync(file);
  return { produced, consumed };
};

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const compare = (name: string, rates: Rates[], others: Rates[]) => {
  const of = (key: keyof Rates) =>
    median(rates.map((rate, i) => rate[key] / (others[i] as Rates)[key])).toFixed(3);
  console.log(`kafka-broker / ${name}, median: produce ${of('produced')}, consume ${of('consumed')}`);
};

const show = (name: string, { produced, consumed }: Rates) =>
  console.log(`${name}: ${Math.round(produced)} produced/s, ${Math.round(consumed)} consumed/s`);

const dataDir = await mkdtemp(join(tmpdir(), 'bench-kafka-'));
const broker = await startBrokerThread({ dataDir, port: 0 });
const real = process.env.KAFKA_BROKERS?.split(',');
const own: Rates[] = [];
const files: Rates[] = [];
const apache: Rates[] = [];
// Compilers warm up on work that is not counted.
for (const brokers of [[broker.brokers], real ?? []])
  if (brokers.length) await measure(brokers, messages / 5);
for (let round = 0; round < rounds; round++) {
  own.push(await measure([broker.brokers], messages));
  show('kafka-broker', own.at(-1) as Rates);
  files.push(bare(join(dataDir, 'bare')));
  show('bare files', files.at(-1) as Rates);
  if (!real) continue;
  apache.push(await measure(real, messages));
  show('KAFKA_BROKERS', apache.at(-1) as Rates);
}
compare('bare files', own, files);
if (real) compare('KAFKA_BROKERS', own, apache);
await broker.stop();
await rm(dataDir, { recursive: true });
