import { expect, setDefaultTimeout, test } from 'bun:test';
import { startBroker } from '../src/broker.ts';
import { clientsOf, temporaryDirectory, testBroker } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const start = Date.now();
const values = ['0', '1', '2', '3', '4'].map((value, i) => ({ value, timestamp: String(start + i) }));

test('deleted records are not read, found by time or counted any more, even after a restart', async () => {
  await using directory = await temporaryDirectory();
  const first = await startBroker({ dataDir: directory.path, port: 0 });
  await using clients = clientsOf(first.brokers);
  const [admin, producer] = await Promise.all([clients.admin(), clients.producer()]);
  // One batch: what is left begins in its middle.
  await producer.send({ topic: 't', messages: values });
  await admin.fetchTopicOffsets('t'); // kafkajs finds the leader only of a topic that it knows
  await admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '3' }] });
  expect(await admin.fetchTopicOffsets('t')).toMatchObject([{ low: '3', high: '5' }]);
  expect(await admin.fetchTopicOffsetsByTimestamp('t', start)).toMatchObject([{ offset: '3' }]);
  const { values: read } = await clients.consumer('t', { groupId: 'g' });
  await until(() => read.length === 2);
  expect(read).toEqual(['3', '4']);
  await clients[Symbol.asyncDispose]();
  await first.stop();

  const second = await startBroker({ dataDir: directory.path, port: 0 });
  await using again = clientsOf(second.brokers);
  expect(await (await again.admin()).fetchTopicOffsets('t')).toMatchObject([{ low: '3', high: '5' }]);
  await again[Symbol.asyncDispose]();
  await second.stop();
});

test('all records are deleted with -1; an offset past the end is refused, and one before the start changes nothing', async () => {
  await using broker = await testBroker();
  const [admin, producer] = await Promise.all([broker.admin(), broker.producer()]);
  await producer.send({ topic: 't', messages: values });
  await admin.fetchTopicOffsets('t');
  const deleteTo = (offset: string) =>
    admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset }] });
  await expect(deleteTo('6')).rejects.toThrow();
  await deleteTo('-1');
  await deleteTo('2').catch(() => {});
  expect(await admin.fetchTopicOffsets('t')).toMatchObject([{ low: '5', high: '5' }]);
  await producer.send({ topic: 't', messages: [{ value: 'new' }] });
  const { values: read } = await broker.consumer('t', { groupId: 'g' });
  await until(() => read.length === 1);
  expect(read).toEqual(['new']);
});
