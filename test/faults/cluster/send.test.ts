/** Nothing that the producer or the program sends is lost when a broker hangs; prints a row of a table at the end. */
import { expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keysOf } from '../../support/cluster/kcat.ts';
import { useCluster } from '../../support/cluster/use-cluster.ts';
import { until } from '../../support/until.ts';

const messages = 60_000;
/** Longer than Kafka needs to elect other leaders, so that the partitions move. */
const frozenMs = 20_000;

const { openScenario } = useCluster();

test('while a broker hangs, each message of a file is sent, and each bad one has a dead letter', async () => {
  await using scenario = await openScenario({ name: 'a broker frozen under producer --file' });
  const { brokers, topic, deadLetterTopic } = scenario;
  const folder = await mkdtemp(join(tmpdir(), 'order-lookup-'));
  const path = join(folder, 'bad.ndjson');
  const keys = Array.from({ length: messages }, (_, n) => `bad-${n}`);
  await Bun.write(path, keys.map((order_uid) => JSON.stringify({ order_uid })).join('\n'));
  await scenario.replica();
  const producer = Bun.spawn([process.execPath, 'producer.ts', '--file', path, '--rate', '3000', '--quiet'], {
    cwd: join(import.meta.dir, '../../..'),
    env: {
      ...process.env,
      KAFKA_BROKERS: brokers.all,
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: deadLetterTopic,
    },
    stdout: 'ignore',
  });
  await until(async () => (await keysOf(brokers.all, deadLetterTopic)).length > 500, 60_000);
  brokers.node(2).freeze();
  await Bun.sleep(frozenMs);
  brokers.node(2).thaw();
  expect(await producer.exited).toBe(0);
  expect(new Set(await keysOf(brokers.all, topic)).size).toBe(messages);
  await scenario.settle({ orders: new Map(), bad: new Set(keys) });
  await rm(folder, { recursive: true });
}, 300_000);
