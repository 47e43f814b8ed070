import { expect, setDefaultTimeout, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { batchOf, rawClient, testBroker } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const withTopic = async (config: Record<string, string>, options = {}) => {
  const broker = await testBroker(options);
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await (await broker.admin()).createTopics({ topics: [{ topic: 't', configEntries }] });
  return broker;
};
const startOf = async (broker: Awaited<ReturnType<typeof testBroker>>) =>
  Number((await (await broker.admin()).fetchTopicOffsets('t'))[0]?.low);

test('retention.bytes: the oldest segments go as new ones begin, and what is left is read', async () => {
  const config = { 'retention.bytes': '3000', 'segment.bytes': '1000' };
  await using broker = await withTopic(config);
  using client = await rawClient(broker.port);
  for (let offset = 0; offset < 100; offset++)
    expect(await client.produce('t', 0, batchOf([`value ${offset}`]))).toEqual({ error: 0, offset });
  const start = await startOf(broker);
  expect(start).toBeGreaterThan(20);
  expect(start).toBeLessThan(80);
  const files = readdirSync(join(broker.dataDir, 'topics', 't.1', '0'));
  expect(files.length).toBeLessThan(6);
  const { values } = await broker.consumer('t', { groupId: 'g' });
  await until(() => values.length === 100 - start);
  expect(values[0]).toBe(`value ${start}`);
});

test('retention.ms: messages older than that are gone at the next check, and newer ones stay', async () => {
  await using broker = await withTopic({ 'retention.ms': '60000' }, { retentionCheckMs: 50 });
  using client = await rawClient(broker.port);
  await client.produce('t', 0, batchOf(['old'], { timestamp: BigInt(Date.now() - 120_000) }));
  await until(async () => (await startOf(broker)) === 1);
  await client.produce('t', 0, batchOf(['new'], { timestamp: BigInt(Date.now()) }));
  const { values } = await broker.consumer('t', { groupId: 'g' });
  await until(() => values.length === 1);
  expect(values).toEqual(['new']);
  expect(await startOf(broker)).toBe(1);
});
