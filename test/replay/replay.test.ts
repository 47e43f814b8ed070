import { expect, setDefaultTimeout, test } from 'bun:test';
import { ensureTopics } from '../../src/kafka/topics.ts';
import type { Order } from '../../src/order/order.ts';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { readCommand } from '../../src/replay/options.ts';
import { planMoves } from '../../src/replay/plan.ts';
import { brokers, silent, testDatabase, until } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { runScript } from '../support/run-script.ts';

setDefaultTimeout(90_000);

const ordersOf = (count: number, seed = 1) => Array.from({ length: count }, createOrderMaker({ seed }));
const messageOf = (order: Order, index: number) => ({
  key: order.order_uid,
  value: JSON.stringify(order),
  partition: index % 2,
});

const command = async (environment: Record<string, string>, ...args: string[]) => {
  return runScript('scripts/replay.ts', args, environment);
};

type Pipeline = Awaited<ReturnType<typeof openPipeline>>;
const environmentOf = async ({ topic, group, database }: Pipeline) => ({
  KAFKA_BROKERS: (await brokers()).join(),
  KAFKA_TOPIC: topic,
  KAFKA_GROUP_ID: group.groupId,
  DATABASE_URL: database.url,
});
const isStored = async ({ store }: Pipeline, orders: Order[]) =>
  (await store.findAll(orders.map((order) => order.order_uid))).size === orders.length;

test('deleted orders are stored again by a running member, and a dead letter is not repeated', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const good = ordersOf(40);
  const member = pipeline.join();
  await pipeline.send([...good.map(messageOf), { key: 'bad', value: '{}', partition: 1 }]);
  await pipeline.drained();
  await pipeline.database.sql`delete from orders`;
  const environment = await environmentOf(pipeline);
  const before = await pipeline.storedOffsets();

  const dry = await command(environment, '--from', 'earliest', '--dry-run');
  expect(dry).toMatchObject({ code: 0, errors: '' });
  expect(dry.output).toBe(
    'partition 0: from 20 back to 0\npartition 1: from 21 back to 0\n41 offsets would be read again.\n',
  );
  expect(await pipeline.storedOffsets()).toEqual(before);

  const done = await command(environment, '--from', 'earliest', '--wait');
  expect(done).toMatchObject({ code: 0 });
  expect(done.output).toEndWith('41 offsets are read again.\nAll of them have been read.\n');
  // It has waited for all of it.
  expect(await isStored(pipeline, good)).toBe(true);
  expect(await pipeline.storedOffsets()).toEqual(before);
  expect(await pipeline.letters()).toHaveLength(1);
  expect(member.fences).toContain('claim');
});

test('only messages sent at or after a time are read again', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const good = ordersOf(20);
  const hour = 3_600_000;
  const timed = good.map((order, index) => ({
    ...messageOf(order, index),
    timestamp: String(Date.now() - (20 - index) * hour),
  }));
  await pipeline.send(timed);
  const member = pipeline.join();
  await pipeline.drained();
  await member.stop();
  const { output, code } = await command(await environmentOf(pipeline), '--from', '390m');
  expect({ output, code }).toEqual({
    output: 'partition 0: from 10 back to 7\npartition 1: from 10 back to 7\n6 offsets are read again.\n',
    code: 0,
  });
  const again = pipeline.join();
  await pipeline.drained();
  await until(() => again.outcomes.reduce((sum, { duplicates }) => sum + duplicates, 0) === 6);
});

test('skipping has to be confirmed, and skipped messages are not read even if Kafka has an older offset', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const good = ordersOf(20);
  const first = pipeline.join();
  await pipeline.send(good.slice(0, 4).map(messageOf));
  await pipeline.drained();
  await first.stop();
  await pipeline.send(good.slice(4).map(messageOf));
  const environment = await environmentOf(pipeline);
  const refused = await command(environment, '--skip-to', '0/8,1/2');
  expect(refused).toMatchObject({ code: 1, errors: '' });
  expect(refused.output).toMatch(
    /partition 0: from 2 forward to 8\nNothing is moved: this skips 6 offsets.*--yes/,
  );
  expect(await command(environment, '--skip-to', '0/8,1/2', '--yes')).toMatchObject({ code: 0 });

  const member = pipeline.join();
  await pipeline.drained();
  const skipped = good.filter((_, index) => index % 2 === 0).slice(2, 8);
  expect((await pipeline.store.findAll(skipped.map((order) => order.order_uid))).size).toBe(0);
  expect(
    await isStored(
      pipeline,
      good.filter((order) => !skipped.includes(order)),
    ),
  ).toBe(true);
  expect(member.fences).toEqual([]);
});

test('in a topic that was recreated, offsets of the old one are neither moved nor reason not to skip', async () => {
  await using pipeline = await openPipeline({ partitions: 2 });
  const { admin, topic, deadLetterTopic, kafka } = pipeline;
  const [old, good] = [ordersOf(40), ordersOf(20, 9)];
  await pipeline.send(old.map(messageOf));
  const first = pipeline.join();
  await pipeline.drained();
  await first.stop();
  await admin.deleteTopics({ topics: [topic] });
  const make = async () => {
    await ensureTopics(kafka, { topic, deadLetterTopic, partitions: 2 }, silent);
    return pipeline.send(good.map(messageOf));
  };
  await until(() => make().catch(() => false));
  const environment = await environmentOf(pipeline);
  expect((await command(environment, '--from', 'earliest')).output).toStartWith('Nothing to move');
  const done = await command(environment, '--skip-to', '0/6,1/0', '--yes');
  expect(done).toMatchObject({ code: 0, errors: '' });
  expect(done.output).toBe('partition 0: from 0 forward to 6\n6 offsets are skipped.\n');

  const member = pipeline.join();
  await pipeline.drained();
  const skipped = good.filter((_, index) => index % 2 === 0).slice(0, 6);
  const rest = good.filter((order) => !skipped.includes(order));
  expect(await isStored(pipeline, rest)).toBe(true);
  expect((await pipeline.store.findAll(skipped.map((order) => order.order_uid))).size).toBe(0);
  expect(member.starts.map(({ partition, start, reason }) => [partition, start, reason]).sort()).toEqual([
    [0, 6n, undefined],
    [1, 0n, 'recreated'],
  ]);
});

const partitions = [
  { partition: 0, low: 10n, high: 100n, stored: 60n, atTime: 30n },
  { partition: 1, low: 0n, high: 50n, stored: undefined, atTime: 50n },
];
const movesOf = (...args: string[]) => {
  const read = readCommand(args);
  if ('help' in read) throw new Error('help');
  return planMoves(read, 'orders', partitions).map(
    ({ partition, from, to }) => `${partition}: ${from} to ${to}`,
  );
};

test.each([
  [['--from', 'earliest'], ['0: 60 to 10']],
  [['--from', '2h'], ['0: 60 to 30']],
  [['--from', '0/60,1/3'], []],
  [['--from', '0/70'], []],
  [
    ['--skip-to', 'latest'],
    ['0: 60 to 100', '1: 0 to 50'],
  ],
  [['--skip-to', '2026-01-31T08:00:00Z'], ['1: 0 to 50']],
  [['--skip-to', '0/50'], []],
])('%p moves %p', (args, moves) => {
  expect(movesOf(...(args as string[]))).toEqual(moves as string[]);
});

test.each([
  [['--from', '2/5'], 'orders has no partition 2; it has 0 to 1'],
  [['--from', '0/5'], 'partition 0 of orders has the offsets 10 to 100, not 5'],
  [['--skip-to', '1/51'], 'partition 1 of orders has the offsets 0 to 50, not 51'],
  [['--from', 'latest'], '--from holds "latest"; allowed: earliest, a time ago'],
  [['--skip-to', 'earliest'], '--skip-to holds "earliest"; allowed: latest, a time ago'],
  [['--from', '0/1,0/2'], '--from holds "0/1,0/2"'],
  [['--from', 'earliest', '--skip-to', 'latest'], 'either --from POSITION or --skip-to POSITION'],
  [['--dry-run'], 'either --from POSITION or --skip-to POSITION'],
  [['--to', 'x'], '"--to" is not an option'],
])('%p is rejected', (args, message) => {
  expect(() => movesOf(...(args as string[]))).toThrow(message as string);
});

test('each error of the command is one line that names the cause', async () => {
  await using database = await testDatabase({ migrated: false });
  const KAFKA_BROKERS = (await brokers()).join();
  const DATABASE_URL = database.url;
  const away = 'postgres://u:secret@127.0.0.1:1/x';
  const cases: [Record<string, string>, string[], number, RegExp][] = [
    [{ DATA_DIR: '/nowhere' }, ['--from', 'earliest'], 2, /^DATABASE_URL is not set/],
    [{ DATABASE_URL, KAFKA_BROKERS: 'x' }, ['--from', 'earliest'], 2, /KAFKA_BROKERS/],
    [
      { DATABASE_URL, KAFKA_BROKERS, KAFKA_TOPIC: 'none-such' },
      ['--from', 'earliest'],
      1,
      /there is no topic none-such/,
    ],
    [{ DATABASE_URL: away, KAFKA_BROKERS }, ['--from', 'earliest', '--wait'], 1, /./],
    [{ DATABASE_URL, KAFKA_BROKERS }, ['--from', 'yesterday'], 2, /--from holds "yesterday"/],
  ];
  for (const [environment, args, code, errors] of cases) {
    const done = await command(environment, ...args);
    expect([done.code, done.output]).toEqual([code, '']);
    expect(done.errors).toMatch(errors);
    expect(done.errors).toMatch(/^[^\n]+\n$/);
    expect(done.errors).not.toContain('secret');
  }
  expect((await command({}, '--help')).output).toContain('Usage: bun run replay');
});
