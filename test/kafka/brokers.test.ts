import { expect, setDefaultTimeout, test } from 'bun:test';
import type { Socket } from 'node:net';
import { createBrokers } from '../../src/kafka/brokers.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { ensureTopics } from '../../src/kafka/topics.ts';
import { brokers, silent, topicName, until } from '../support/kafka-and-postgres.ts';
import { recordingLog } from '../support/recording-log.ts';
import { startProxy } from '../support/tcp-proxy.ts';

setDefaultTimeout(60_000);

/** Accepts every connection and never answers, as a broker that hangs. */
const startHung = () => {
  const sockets = new Set<{ terminate(): void }>();
  const server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open: (socket) => void sockets.add(socket),
      close: (socket) => void sockets.delete(socket),
      data() {},
    },
  });
  return {
    address: `127.0.0.1:${server.port}`,
    connections: () => sockets.size,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.terminate();
      server.stop(true);
    },
  };
};

const clientOf = (list: ReturnType<typeof createBrokers>) =>
  createKafka({ brokers: [], ssl: false, sasl: undefined }, 'test', silent, list);

test('with configured brokers that hang or are gone, topics, producer and consumer are ready within 15 s', async () => {
  using hung = startHung();
  const real = await brokers();
  const begun = Date.now();
  const topic = topicName();
  // Each begins at a random broker; of eight some begin at the one that hangs.
  const clients = Array.from({ length: 8 }, () =>
    clientOf(createBrokers([hung.address, '127.0.0.1:1', ...real], silent)),
  );
  await Promise.all(
    clients.map(async (kafka, n) => {
      await ensureTopics(
        kafka,
        { topic: `${topic}_${n}`, deadLetterTopic: `${topic}_${n}_dlq`, partitions: 1 },
        silent,
      );
      const [producer, consumer] = [kafka.producer(), kafka.consumer({ groupId: `${topic}_${n}` })];
      await producer.connect();
      await consumer.connect();
      await Promise.all([producer.disconnect(), consumer.disconnect()]);
    }),
  );
  // And what a busy machine may add.
  expect(Date.now() - begun).toBeLessThan(25_000);
  // Connections that timed out are closed; otherwise they would pile up while a broker hangs for hours.
  await until(() => hung.connections() === 0);
});

test('a new client connects by a broker that Kafka has named, when the configured ones are gone', async () => {
  const [real] = await brokers();
  const [hostname, port] = String(real).split(':');
  await using proxy = startProxy({ hostname: String(hostname), port: Number(port) });
  const kafka = clientOf(createBrokers([`127.0.0.1:${proxy.port}`], silent));
  const read = async () => {
    const admin = kafka.admin();
    await admin.connect();
    await admin.listTopics();
    await admin.disconnect();
  };
  await read();
  proxy.cut();
  await read();
});

test('brokers that answer are tried first, and a broker that does not answer is reported until it does', async () => {
  const { log, texts } = recordingLog();
  let isUp = false;
  using server = listenAs(() => isUp);
  let changes = 0;
  const address = `127.0.0.1:${server.port}`;
  const list = createBrokers([address, 'other:1'], log, () => changes++);
  const connect = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket: Socket = list.connect({
      host: '127.0.0.1',
      port: server.port,
      ssl: undefined as never,
      onConnect: () => socket.write('?'),
    });
    socket.on('data', () => socket.destroy());
    socket.on('close', () => resolve());
    return { socket, closed: promise };
  };
  const { socket } = connect();
  await until(() => list.isDegraded());
  socket.destroy();
  expect(texts()).toEqual(['a Kafka broker does not answer']);
  expect([list.next(), list.next()]).toEqual(['other:1', 'other:1']);
  isUp = true;
  await connect().closed;
  expect(list.isDegraded()).toBe(false);
  expect(texts()).toEqual(['a Kafka broker does not answer', 'the Kafka broker answers again']);
  expect(changes).toBe(2);
  expect([list.next(), list.next()].sort()).toEqual([address, 'other:1']);
});

/** Answers each byte with one, while `answers` holds. */
const listenAs = (answers: () => boolean) => {
  const server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: { data: (socket) => void (answers() && socket.write('!')) },
  });
  return { port: server.port, [Symbol.dispose]: () => server.stop(true) };
};
