import { expect, test } from 'bun:test';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { testBroker } from '../../packages/kafka-broker/test/support/broker.ts';
import { createBrokers } from '../../src/kafka/brokers.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { clusterOf } from '../../src/kafka/kafkajs-cluster.ts';
import { silent } from '../support/database.ts';

/** Changes of kafkajs in `patches/` that no other test shows. */
const kafkajs = createRequire(import.meta.url);

const filter: (fetched: {
  messages: object[];
  abortedTransactions: object[];
}) => { offset: string; isControlRecord: boolean }[] = createRequire(import.meta.url)(
  'kafkajs/src/consumer/filterAbortedMessages',
);

type Cluster = ReturnType<typeof clusterOf>;
type Build = (destination?: { host?: string; port?: number }) => Promise<object>;

/** The key of an abort marker. */
const marker = Buffer.from([0, 0, 0, 0]);
const messageAt = (
  offset: string,
  producerId: string,
  of: { key?: Buffer; isControlRecord?: boolean } = {},
) => ({
  offset,
  key: null,
  isControlRecord: false,
  batchContext: { producerId, inTransaction: true },
  ...of,
});
const abortAt = (offset: string, producerId: string) =>
  messageAt(offset, producerId, { key: marker, isControlRecord: true });
/** Consumers drop control records afterwards. */
const offsetsOf = (messages: ReturnType<typeof filter>) =>
  messages.filter(({ isControlRecord }) => !isControlRecord).map(({ offset }) => offset);

test('an ordinary message with the key of an abort marker ends no aborted transaction', () => {
  const messages = [
    messageAt('10', '1', { key: marker }),
    messageAt('11', '1'),
    abortAt('12', '1'),
    messageAt('13', '1'),
  ];
  const abortedTransactions = [{ producerId: '1', firstOffset: '10' }];
  expect(offsetsOf(filter({ messages, abortedTransactions }))).toEqual(['13']);
});

test('of several transactions that were open at the start of a fetch, in any order, no aborted message comes through', () => {
  const messages = [
    messageAt('10', '2'),
    messageAt('11', '1'),
    messageAt('12', '3'),
    abortAt('13', '2'),
    abortAt('14', '1'),
  ];
  const abortedTransactions = [
    { producerId: '2', firstOffset: '6' },
    { producerId: '1', firstOffset: '4' },
  ];
  expect(offsetsOf(filter({ messages, abortedTransactions }))).toEqual(['12']);
});

test('a connection that is neither throttled nor has requests pending runs no timer; one that has, checks again', () => {
  const RequestQueue = kafkajs('kafkajs/src/network/requestQueue');
  const queue = new RequestQueue({ maxInFlightRequests: 1 });
  queue.scheduleCheckPendingRequests();
  expect(queue.throttleCheckTimeoutId).toBeNull();
  for (const busy of [{ pending: [{}] }, { throttledUntil: performance.now() + 60_000 }]) {
    const waiting = Object.assign(new RequestQueue({ maxInFlightRequests: 1 }), busy);
    waiting.scheduleCheckPendingRequests();
    expect(waiting.throttleCheckTimeoutId).not.toBeNull();
    clearTimeout(waiting.throttleCheckTimeoutId);
  }
});

test('requests that fail together with their connection add no listeners to its socket', async () => {
  await using broker = await testBroker();
  const brokers = createBrokers([broker.brokers], silent);
  const sockets: Socket[] = [];
  const connect: typeof brokers.connect = (options) => {
    const socket = brokers.connect(options);
    sockets.push(socket);
    return socket;
  };
  const address = { brokers: [broker.brokers], ssl: false, sasl: undefined };
  const cluster = clusterOf(createKafka(address, 'test', silent, { ...brokers, connect }));
  await cluster.connect();
  await cluster.refreshMetadata();
  const leader = await cluster.findBroker({ nodeId: '1' });
  // The first one takes all others in flight with it.
  broker.faults.drop('Fetch', 'before', 30);
  const fetch = () => leader.fetch({ isolationLevel: 0, maxWaitTime: 100, maxBytes: 1, topics: [] });
  const outcomes = await Promise.allSettled(Array.from({ length: 30 }, fetch));
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']));
  await cluster.disconnect();
  for (const socket of sockets) expect(socket.listenerCount('connect')).toBeLessThan(3);
});

test('a client that disconnects while it reads metadata ends without an error, and can connect again', async () => {
  await using broker = await testBroker();
  const { port } = broker;
  // Not the host that the broker names: so its metadata has a broker that is not known yet.
  const seed = [`localhost:${port}`];
  const cluster = clusterOf(
    createKafka({ brokers: seed, ssl: false, sasl: undefined }, 'test', silent),
  ) as unknown as Cluster & { brokerPool: { connectionPoolBuilder: { build: Build } } };
  await cluster.connect();
  const builder = cluster.brokerPool.connectionPoolBuilder;
  const { build } = builder;
  let disconnects = 0;
  builder.build = async (destination) => {
    disconnects++;
    await cluster.disconnect();
    return build(destination);
  };
  await cluster.refreshMetadata();
  expect(disconnects).toBe(1);
  builder.build = build;
  await cluster.connect();
  await cluster.refreshMetadata();
  await cluster.findBroker({ nodeId: '1' });
  await cluster.disconnect();
});

test('a partition without a leader is an error with the code of Kafka', async () => {
  await using broker = await testBroker();
  const cluster = clusterOf(
    createKafka({ brokers: [broker.brokers], ssl: false, sasl: undefined }, 'test', silent),
  );
  await cluster.connect();
  const codeFor = (nodeId: string) =>
    cluster.findBroker({ nodeId }).then(
      () => 'found',
      ({ name, code }: Error & { code?: string }) => [name, code],
    );
  expect(await codeFor('-1')).toEqual(['KafkaJSBrokerNotFound', 'LEADER_NOT_AVAILABLE']);
  expect(await codeFor('7')).toEqual(['KafkaJSBrokerNotFound', undefined]);
  await cluster.disconnect();
});
