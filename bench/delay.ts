/**
 * The ingest delay of single orders at a steady rate. In turns of one run, with orders of the same size at the same pace: (a)
 * PostgreSQL alone, an insert and a commit for each order; (b) Kafka alone, from produced to consumed; (c) the whole pipeline, from
 * produced to stored. Before each turn PostgreSQL writes its dirty pages, so that no turn pays for what was written before it.
 *
 *   bun --env-file=.services/env bench/delay.ts [--rate 1000] [--seconds 10] [--rounds 3]
 *
 * Needs KAFKA_BROKERS and DATABASE_URL, whose user may create a database.
 */
import { parseArgs } from 'node:util';
import { CompressionTypes } from 'kafkajs';
import { startConsumerThread } from '../src/ingest/thread.ts';
import { createKafka } from '../src/kafka/client.ts';
import { ensureTopics } from '../src/kafka/topics.ts';
import { defaultRules } from '../src/order/rules.ts';
import { createOrderMaker } from '../src/producer/fake-order.ts';
import { createDatabase, silent, uniqueName } from '../test/support/database.ts';
import { until } from '../test/support/until.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
  },
});
const rate = Number(values.rate);
const lasting = Number(values.seconds);
const rounds = Number(values.rounds);
const partitions = 8;
/** As many as the program has. */
const connections = 10;
/** How often orders are sent. */
const tickMs = 5;
/** Before each turn, and not counted: connections and plans are made, and code is compiled. */
const warmUpSeconds = 1;

const { KAFKA_BROKERS, DATABASE_URL } = process.env;
if (!KAFKA_BROKERS || !DATABASE_URL)
  throw new Error('Set KAFKA_BROKERS and DATABASE_URL: bun run services up');
const database = await createDatabase(DATABASE_URL, { connections });
const { sql, url } = database;
await sql`create table bare (order_uid text primary key, document text not null)`;

const address = { brokers: KAFKA_BROKERS.split(','), ssl: false, sasl: undefined };
const kafka = createKafka(address, 'bench', silent);
const topic = uniqueName('bench');
const deadLetterTopic = `${topic}_dlq`;
const bareTopic = `${topic}_bare`;
for (const name of [topic, bareTopic])
  await ensureTopics(kafka, { topic: name, deadLetterTopic, partitions }, silent);
const producer = kafka.producer({ idempotent: true });
await producer.connect();

type Message = { key: string; value: string };
/** In ms, of `performance.now()`. `accepted`: inserted in PostgreSQL, or acknowledged by Kafka. */
type Times = { sent: number; accepted: number; done: number };
const times = new Map<string, Times>();
const markDone = (uid: string, now = performance.now()) => {
  const found = times.get(uid);
  if (found) found.done = now;
};

const insert = async (messages: readonly Message[]) => {
  const each = messages.map(async ({ key, value }) => {
    await sql`insert into bare values (${key}, ${value})`;
    markDone(key);
  });
  await Promise.all(each);
};
const produceTo = (to: string) => (messages: Message[]) =>
  producer.send({ topic: to, acks: -1, compression: CompressionTypes.None, messages });

const bareConsumer = kafka.consumer({ groupId: bareTopic, maxWaitTimeInMs: 500 });
await bareConsumer.connect();
await bareConsumer.subscribe({ topic: bareTopic, fromBeginning: true });
await bareConsumer.run({
  // kafkajs would commit each partition in turn and wait for it: with eight partitions that is most of the delay.
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    const now = performance.now();
    for (const { key } of batch.messages) markDone(String(key), now);
  },
});
const consumer = startConsumerThread({
  settings: {
    name: 'bench',
    kafka: address,
    topic,
    deadLetterTopic,
    groupId: topic,
    rules: defaultRules,
    partitions,
    databaseUrl: url,
    databasePool: connections,
    logLevel: 'silent',
  },
  stored({ uids }) {
    const now = performance.now();
    for (const uid of uids) markDone(uid, now);
  },
  log: silent,
});

const make = createOrderMaker({ seed: 1 });
const makeMessage = (): Message => {
  const order = make();
  return { key: order.order_uid, value: JSON.stringify(order) };
};

/** Sends the messages at the rate; resolves with the times of each once the last is done. */
const sendPaced = async (
  send: (messages: Message[]) => Promise<unknown>,
  messages: readonly Message[],
): Promise<Times[]> => {
  times.clear();
  const begun = performance.now();
  const sendings: Promise<unknown>[] = [];
  for (let count = 0; count < messages.length; ) {
    const sent = performance.now();
    const due = Math.min(messages.length, Math.floor(((sent - begun) / 1000) * rate));
    if (due > count) {
      const part = messages.slice(count, due);
      for (const { key } of part) times.set(key, { sent, accepted: 0, done: 0 });
      const acceptAll = () => {
        const accepted = performance.now();
        for (const { key } of part) Object.assign(times.get(key) ?? {}, { accepted });
      };
      sendings.push(send(part).then(acceptAll));
      count = due;
    }
    await Bun.sleep(tickMs);
  }
  await Promise.all(sendings);
  const all = [...times.values()];
  await until(() => all.every(({ done }) => done > 0), 60_000);
  return all;
};

const wholeWay = '(c) produced to stored';
const ways = {
  '(a) PostgreSQL alone': insert,
  '(b) Kafka alone': produceTo(bareTopic),
  [wholeWay]: produceTo(topic),
};
const measured = new Map<string, Times[]>(Object.keys(ways).map((name) => [name, []]));
for (let round = 0; round < rounds; round++)
  for (const [name, send] of Object.entries(ways)) {
    const messages = Array.from({ length: rate * (warmUpSeconds + lasting) }, makeMessage);
    await sendPaced(send, messages.slice(0, rate * warmUpSeconds));
    await sql`vacuum analyze`;
    await sql`checkpoint`;
    measured.get(name)?.push(...(await sendPaced(send, messages.slice(rate * warmUpSeconds))));
  }

const delayOf = ({ sent, done }: Times) => done - sent;
const mean = (delays: readonly number[]) => delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
const ms = (delay: number) => `${delay.toFixed(1).padStart(7)} ms`;

console.log(`${rate} orders/s, ${rounds} rounds of ${lasting} s each`);
const percentiles = [...measured].map(([name, all]) => {
  const delays = all.map(delayOf).sort((one, other) => one - other);
  const at = (share: number) => delays[Math.floor((delays.length - 1) * share)] ?? 0;
  console.log(`${name.padEnd(24)} p50 ${ms(at(0.5))}   p99 ${ms(at(0.99))}   max ${ms(at(1))}`);
  return [at(0.5), at(0.99)];
});
const [p50, p99] = [0, 1].map((index) => {
  const [postgres = 0, bareKafka = 0, whole = 0] = percentiles.map((of) => of[index] ?? 0);
  return (whole / (postgres + bareKafka)).toFixed(2).padStart(7);
});
console.log(`${'c/(a+b)'.padEnd(24)} p50 ${p50}      p99 ${p99}`);

const slowest = (measured.get(wholeWay) ?? [])
  .sort((one, other) => delayOf(other) - delayOf(one))
  .slice(0, Math.ceil((rate * lasting * rounds) / 100));
const toAccepted = ms(mean(slowest.map(({ sent, accepted }) => accepted - sent)));
const toStored = ms(mean(slowest.map(({ accepted, done }) => done - accepted)));
console.log(
  `the slowest 1 % of (c), mean: ${toAccepted} until Kafka acknowledged, then ${toStored} until stored`,
);

await consumer.stop();
await bareConsumer.disconnect();
await producer.disconnect();
const admin = kafka.admin();
await admin.connect();
await admin.deleteTopics({ topics: [topic, bareTopic, deadLetterTopic] });
await admin.disconnect();
await database[Symbol.asyncDispose]();
process.exit(0);
