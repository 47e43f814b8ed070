import { expect, setDefaultTimeout, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import { type Admin, CompressionCodecs, CompressionTypes, ConfigResourceTypes } from 'kafkajs';
import { kafkaAddress } from '../../src/config/kafka-address.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import { brokers, silent, topicName, until } from '../support/kafka-and-postgres.ts';
import { kafkaClient, readTopic } from '../support/pipeline.ts';
import { record, recordBatch, sendRaw } from '../support/record-batch.ts';
import { testWith } from '../support/test-with.ts';

setDefaultTimeout(60_000);

const withAdmin = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
  const admin = (await kafkaClient()).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
};
const topicsOf = () => {
  const topic = topicName();
  return { topic, deadLetterTopic: `${topic}_dlq`, partitions: 3 };
};
const configOf = (topic: string) =>
  withAdmin(async (admin) => {
    const { resources } = await admin.describeConfigs({
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      includeSynonyms: false,
    });
    return Object.fromEntries(
      resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]) ?? [],
    );
  });
const partitionsOf = (topic: string) =>
  withAdmin(async (admin) => (await admin.fetchTopicOffsets(topic)).length);
const configure = (topic: string, settings: Record<string, string>) =>
  withAdmin((admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topic,
          configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  );

test('missing topics are created; the dead-letter topic accepts larger batches and keeps them without end', async () => {
  const topics = topicsOf();
  await ensureTopics(await kafkaClient(), topics, silent);
  expect(await partitionsOf(topics.topic)).toBe(3);
  expect(await partitionsOf(topics.deadLetterTopic)).toBe(3);
  const [orders, letters] = [await configOf(topics.topic), await configOf(topics.deadLetterTopic)];
  expect(letters).toMatchObject({
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'cleanup.policy': 'delete',
  });
  expect(Number(letters['max.message.bytes'])).toBe(Number(orders['max.message.bytes']) + 65_536);
});

test('existing topics keep their partitions, and the dead-letter topic’s limit grows with that of the orders and never shrinks', async () => {
  const topics = topicsOf();
  await withAdmin((admin) =>
    admin.createTopics({
      topics: [
        { topic: topics.topic, numPartitions: 1 },
        { topic: topics.deadLetterTopic, numPartitions: 2 },
      ],
    }),
  );
  const kafka = await kafkaClient();
  const limitOf = async (topic: string) => Number((await configOf(topic))['max.message.bytes']);
  /** Kafka answers that a setting is changed before its brokers use it. */
  const expectRoomAfter = async (limit: number, letterBytes: number, expected: number) => {
    await configure(topics.topic, { 'max.message.bytes': String(limit) });
    await until(async () => (await limitOf(topics.topic)) === limit);
    await ensureTopics(kafka, { ...topics, letterBytes }, silent);
    await until(async () => (await limitOf(topics.deadLetterTopic)) === expected);
  };
  await expectRoomAfter(3_000_000, 0, 3_065_536);
  await expectRoomAfter(1_000, 0, 3_065_536);
  await expectRoomAfter(1_000, 4_000_000, 4_065_536);
  expect(await partitionsOf(topics.topic)).toBe(1);
  expect(await partitionsOf(topics.deadLetterTopic)).toBe(2);
});

test('several processes can create the topics at once', async () => {
  const topics = topicsOf();
  const kafka = await kafkaClient();
  await Promise.all(Array.from({ length: 5 }, () => ensureTopics(kafka, topics, silent)));
  expect(await partitionsOf(topics.topic)).toBe(3);
});

test('without Kafka, creating topics rejects instead of hanging', async () => {
  const kafka = await kafkaClient(['127.0.0.1:1']);
  await expect(ensureTopics(kafka, topicsOf(), silent)).rejects.toThrow();
});

test('the address is plain data, and SASL is used only if a mechanism is configured', () => {
  const address = (environment: Record<string, string>) =>
    kafkaAddress(readConfig(environment), ['host:9092']);
  expect(address({})).toEqual({ brokers: ['host:9092'], ssl: false, sasl: undefined });
  const login = {
    KAFKA_BROKERS: 'host:9092',
    KAFKA_SSL: 'true',
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: 'p',
  };
  expect(structuredClone(address(login))).toEqual({
    brokers: ['host:9092'],
    ssl: true,
    sasl: { mechanism: 'plain', username: 'u', password: 'p' },
  });
});

const text = Buffer.from(Array.from({ length: 40_000 }, (_, n) => `{"order":${n},"of":"many"}`).join('\n'));
type Codec = keyof typeof CompressionCodecs;
const decompress = async (type: Codec, bytes: Uint8Array): Promise<Buffer> => {
  await kafkaClient();
  return CompressionCodecs[type]?.().decompress(bytes);
};
const piped = async (command: string[]): Promise<Uint8Array> =>
  new Response(Bun.spawn(command, { stdin: text, stderr: 'ignore' }).stdout).bytes();

test('snappy is read plain and in the frame of Java clients', async () => {
  await kafkaClient();
  const compress = async (part: Buffer): Promise<Buffer> =>
    CompressionCodecs[CompressionTypes.Snappy]?.().compress({ buffer: part });
  const blocks: Buffer[] = [Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1')];
  for (let at = 0; at < text.length; at += 32_768) {
    const block = await compress(text.subarray(at, at + 32_768));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    blocks.push(length, block);
  }
  expect(text.equals(await decompress(CompressionTypes.Snappy, Buffer.concat(blocks)))).toBe(true);
  expect(text.equals(await decompress(CompressionTypes.Snappy, await compress(text)))).toBe(true);
  await expect(
    decompress(CompressionTypes.Snappy, Buffer.concat(blocks).subarray(0, 5_000)),
  ).rejects.toThrow();
  // After damaged input the decompressor still works.
  expect(text.equals(await decompress(CompressionTypes.Snappy, await compress(text)))).toBe(true);
});

testWith(Bun.which('lz4') !== null, 'lz4')(
  'lz4 frames are read, whatever their blocks and checksums',
  async () => {
    for (const options of [
      [],
      ['-B4'],
      ['-B4', '-BD'],
      ['-BD'],
      ['-BX'],
      ['--no-frame-crc'],
      ['-9', '--content-size'],
    ]) {
      const frame = await piped(['lz4', '-c', ...options]);
      expect(text.equals(await decompress(CompressionTypes.LZ4, Buffer.from(frame))), options.join(' ')).toBe(
        true,
      );
    }
  },
);

testWith(Bun.which('zstd') !== null, 'zstd')(
  'zstd is read, with and without the size in its frame',
  async () => {
    for (const options of [[], ['-19'], ['--no-check'], [`--stream-size=${text.length}`]]) {
      const frame = await piped(['zstd', '-c', ...options]);
      expect(
        text.equals(await decompress(CompressionTypes.ZSTD, Buffer.from(frame))),
        options.join(' '),
      ).toBe(true);
    }
  },
);

test('every codec that can be read can also be written', async () => {
  const kafka = await kafkaClient();
  const topics = { ...topicsOf(), partitions: 1 };
  await ensureTopics(kafka, topics, silent);
  const producer = kafka.producer();
  await producer.connect();
  const codecs = [
    CompressionTypes.GZIP,
    CompressionTypes.Snappy,
    CompressionTypes.LZ4,
    CompressionTypes.ZSTD,
  ];
  for (const compression of codecs)
    await producer.send({ topic: topics.topic, compression, messages: [{ value: text }] });
  await producer.disconnect();
  for (const { value } of await readTopic(topics.topic)) expect(value?.equals(text)).toBe(true);
});

// More records than a call can have arguments: `list.push(...records)` would overflow the stack.
test('a batch of 200,000 records is read', async () => {
  const kafka = await kafkaClient();
  const topics = { ...topicsOf(), partitions: 1 };
  await ensureTopics(kafka, topics, silent);
  const count = 200_000;
  const records = Array.from({ length: count }, (_, delta) => record({ delta, value: 'x' }));
  const batch = recordBatch({ records: gzipSync(Buffer.concat(records)), codec: 1, count });
  await sendRaw((await brokers())[0] as string, topics.topic, 0, [batch]);
  const consumer = kafka.consumer({ groupId: topics.topic, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: topics.topic, fromBeginning: true });
  const batches: number[] = [];
  await consumer.run({ eachBatch: async ({ batch }) => void batches.push(batch.messages.length) });
  await until(() => batches.length > 0);
  await consumer.disconnect();
  expect(batches).toEqual([count]);
});
