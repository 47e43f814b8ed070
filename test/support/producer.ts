import { afterAll, beforeAll } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from 'kafka-broker';
import { createKafka } from '../../src/kafka/client.ts';
import { createLog } from '../../src/observability/log.ts';
import { until } from './until.ts';

export const root = join(import.meta.dir, '../..');

export const newTopic = () => `producer-${crypto.randomUUID()}`;

export type Stored = { partition: number; key: string | null; value: Buffer | null; timestamp: number };

const summary =
  /sent (\d+)(?: of \d+)? \w+( \((\d+) of them deliberately invalid\))? in ([\d.]+) s, ([\d.]+)\/s\n$/;
/** The last line of the producer's output. */
export const summed = (output: string) => {
  const [, sent, , bad = '0', seconds] = summary.exec(output) ?? [];
  return { sent: Number(sent), bad: Number(bad), seconds: Number(seconds) };
};

/** The output without the lines about a Kafka that took longer than 2 s to answer, as it does now and then on a busy machine. */
export const withoutWaits = (output: string) =>
  output.replace(/\r?.*(?:Still trying|Kafka answers)\.\r?\n/g, '');

/** Helpers that run `producer.ts`. Their processes, brokers and files are removed after the tests of the file that calls this. */
export const useProducer = () => {
  const folder = mkdtempSync(join(tmpdir(), 'producer-test-'));
  const opened: { stop(): unknown }[] = [];
  let brokers = process.env.KAFKA_BROKERS ?? '';

  const embedded = async (port = 0, dataDir = mkdtempSync(join(folder, 'broker-'))): Promise<Broker> => {
    const broker = await startBroker({ dataDir, port });
    opened.push(broker);
    return broker;
  };
  beforeAll(async () => {
    brokers ||= (await embedded()).brokers;
  });
  afterAll(async () => {
    for (const part of opened) await part.stop();
    rmSync(folder, { recursive: true });
  });

  const start = (topic: string, args: string[], more: Record<string, string> = {}) => {
    const child = Bun.spawn([process.execPath, 'producer.ts', ...args], {
      cwd: root,
      env: {
        ...process.env,
        NODE_ENV: 'production',
        KAFKA_BROKERS: brokers,
        KAFKA_TOPIC: topic,
        KAFKA_DLQ_TOPIC: `${topic}_dlq`,
        KAFKA_PARTITIONS: '4',
        ...more,
      },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    opened.push({ stop: () => child.kill('SIGKILL') });
    const errors = new Response(child.stderr).text();
    let output = '';
    let arrived: (() => void) | undefined;
    const arrivals = (async () => {
      const decoder = new TextDecoder();
      const reader = child.stdout.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        output += decoder.decode(part.value, { stream: true });
        arrived?.();
      }
    })();
    return {
      child,
      /** Resolves when it has said this. */
      said: (text: string) =>
        new Promise<void>((resolve, reject) => {
          arrived = () => output.includes(text) && resolve();
          arrived();
          arrivals.then(() => reject(new Error(`ended without saying "${text}", but:\n${output}`)));
        }),
      end: async () => {
        await Promise.all([arrivals, child.exited]);
        return { code: child.exitCode, output, errors: await errors };
      },
    };
  };

  const run = (topic: string, ...args: string[]) => start(topic, args).end();

  /** All that is in the topic, in the order of its partitions. */
  const read = async (topic: string, at = brokers): Promise<Stored[]> => {
    const kafka = createKafka(
      { brokers: [at], ssl: false, sasl: undefined },
      'reader',
      createLog('silent', 'test'),
    );
    const stored: Stored[] = [];
    const total = (await offsets(topic, at)).reduce((sum, { high }) => sum + Number(high), 0);
    const consumer = kafka.consumer({ groupId: `reader-${crypto.randomUUID()}`, maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      if (total === 0) resolve();
      consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(payload.error));
      consumer.run({
        eachMessage: async ({ partition, message: { key, value, timestamp } }) => {
          stored.push({ partition, key: key?.toString() ?? null, value, timestamp: Number(timestamp) });
          if (stored.length === total) resolve();
        },
      });
    });
    await consumer.disconnect();
    return stored.sort((one, other) => one.partition - other.partition);
  };

  const offsets = async (topic: string, at = brokers) => {
    const kafka = createKafka(
      { brokers: [at], ssl: false, sasl: undefined },
      'reader',
      createLog('silent', 'test'),
    );
    const admin = kafka.admin();
    await admin.connect();
    try {
      return await admin.fetchTopicOffsets(topic);
    } finally {
      await admin.disconnect();
    }
  };

  /** Resolves when there is something in the topic. */
  const someSent = async (topic: string, at = brokers) => {
    const sent = async () => (await offsets(topic, at).catch(() => [])).some(({ high }) => Number(high) > 0);
    await until(sent, 60_000);
  };

  return { start, run, read, someSent, embedded, opened, folder, brokers: () => brokers };
};
