/** Discarding letters, and how many letters one message has. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { readCommand } from '../../src/dead-letters/options.ts';
import { createDeadLetters } from '../../src/ingest/dead-letter.ts';
import { buildOrder } from '../support/build-order.ts';
import { brokers } from '../support/kafka-and-postgres.ts';
import { openPipeline, readTopic } from '../support/pipeline.ts';
import { startProgram } from '../support/program.ts';

setDefaultTimeout(180_000);

type Topics = { topic: string; deadLetterTopic: string };

const run = async ({ topic, deadLetterTopic }: Topics, ...args: string[]) =>
  startProgram(
    { KAFKA_BROKERS: String(await brokers()), KAFKA_TOPIC: topic, KAFKA_DLQ_TOPIC: deadLetterTopic },
    ['scripts/dead-letters.ts', ...args],
  ).ended();

const json = (output: string) =>
  output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
const listed = async (topics: Topics, ...args: string[]) =>
  json((await run(topics, 'list', '--json', ...args)).output).map(({ letter }) => letter);

test('discarded letters are left out of lists and redrives until that is taken back', async () => {
  await using pipeline = await openPipeline();
  const order = buildOrder({ order_uid: 'a-valid-order' });
  await pipeline.send([
    { key: 'a', value: 'no JSON' },
    { key: 'b', value: '{}' },
    { key: order.order_uid, value: JSON.stringify(order) },
    { key: order.order_uid, value: JSON.stringify({ ...order, sm_id: 77 }) },
  ]);
  pipeline.join();
  await pipeline.drained();
  expect(await listed(pipeline)).toEqual(['0/0', '0/1', '0/2']);

  const dry = await run(pipeline, 'discard', '--stage', 'parse', '--dry-run');
  expect(dry).toMatchObject({ status: 0, output: '0/0  would be discarded\n' });
  expect(await listed(pipeline)).toHaveLength(3);
  const all = await run(pipeline, 'discard', '--json', '--limit', '2');
  expect(json(all.output)).toEqual([
    { letter: '0/0', outcome: 'discarded' },
    { letter: '0/1', outcome: 'discarded' },
  ]);
  expect(all).toMatchObject({ status: 0, errors: `2 discarded in ${pipeline.deadLetterTopic}\n` });
  expect(await listed(pipeline)).toEqual(['0/2']);
  expect(await listed(pipeline, '--discarded')).toEqual(['0/0', '0/1']);
  expect((await run(pipeline, 'list')).output).toContain('2 were discarded, --discarded shows them');
  expect((await run(pipeline, 'show', '0/1')).output).toContain(', discarded');
  const redriven = await run(pipeline, 'redrive', '--unchecked', '--dry-run');
  expect(redriven.output).toBe('0/2  would be sent\n');

  const undone = await run(pipeline, 'discard', '--undo', '--stage', 'parse');
  expect(undone.errors).toBe(`1 restored in ${pipeline.deadLetterTopic}\n`);
  expect(await listed(pipeline)).toEqual(['0/0', '0/2']);
  expect(await listed(pipeline, '--discarded')).toEqual(['0/1']);
  const again = await run(pipeline, 'discard', '--stage', 'parse');
  expect(again.errors).toBe(`1 discarded in ${pipeline.deadLetterTopic}\n`);
  expect(await listed(pipeline)).toEqual(['0/2']);
});

test('a message that is redriven unchanged and fails again is one letter in the list, also if it was sent twice', async () => {
  await using pipeline = await openPipeline();
  await pipeline.send([{ key: 'a', value: 'no JSON', timestamp: '1700000000000' }]);
  pipeline.join();
  await pipeline.drained();
  expect((await run(pipeline, 'redrive', '--unchecked')).status).toBe(0);
  await pipeline.drained();
  const [only, ...others] = json((await run(pipeline, 'list', '--json')).output);
  expect(others).toEqual([]);
  expect(only).toMatchObject({
    redrives: 1,
    value: 'no JSON',
    from: { offset: '1' },
    time: '2023-11-14T22:13:20.000Z',
  });

  // As if a redrive had been killed before its mark, and repeated: the same message twice, from the same letter. A topic with
  // LogAppendTime gives each another timestamp.
  const headers = { '__redrive.count': '2', '__redrive.letter': only.letter };
  const message = { key: 'a', value: 'no JSON', timestamp: '1700000000000', headers };
  await pipeline.send([message, { ...message, timestamp: '1700000000777' }]);
  await pipeline.drained();
  // Another message with the same header hides nothing.
  await pipeline.send([{ ...message, value: 'other text' }]);
  await pipeline.drained();
  const letters = json((await run(pipeline, 'list', '--json')).output);
  expect(letters.map(({ value }) => value)).toEqual(['no JSON', 'other text']);
  expect(letters[0]).toMatchObject({ redrives: 2, from: { offset: '3' } });
  expect(await listed(pipeline, '--all')).toHaveLength(5);
  expect((await run(pipeline, 'show', only.letter)).output).toContain(', sent again');
});

test('a letter in another form than its message is listed, shown and redriven as the message was', async () => {
  await using pipeline = await openPipeline();
  const letters = createDeadLetters({
    kafka: pipeline.kafka,
    topic: pipeline.deadLetterTopic,
    letterTopic: () => ({ keepsTimestamps: false, isCompacted: true }),
    checkTopic: async () => {},
  });
  await letters.connect();
  const order = buildOrder({ order_uid: 'in-another-form' });
  const message = {
    topic: pipeline.topic,
    partition: 0,
    timestamp: '1700000000123',
    headers: { trace: 'abc' },
  };
  const why = { stage: 'store' as const, error: 'OrderConflict', reason: 'a reason' };
  await letters.send([
    { ...why, message: { ...message, offset: '0', key: null, value: Buffer.from(JSON.stringify(order)) } },
    { ...why, message: { ...message, offset: '1', key: Buffer.from('a key'), value: null } },
  ]);
  await letters.disconnect();

  const found = json((await run(pipeline, 'list', '--json', '--until', '2024-01-01T00:00:00Z')).output);
  expect(found).toMatchObject([
    { time: '2023-11-14T22:13:20.123Z', key: null, value: JSON.stringify(order) },
    { time: '2023-11-14T22:13:20.123Z', key: 'a key', value: null },
  ]);
  expect((await run(pipeline, 'show', found[0].letter)).output).toContain('Key       (none)');
  await run(pipeline, 'redrive', '--unchecked');
  const sent = await readTopic(pipeline.topic);
  expect(sent.map(({ key, value }) => [key && String(key), value && String(value)])).toEqual([
    [null, JSON.stringify(order)],
    ['a key', null],
  ]);
  for (const { headers } of sent) {
    expect(Object.keys(headers)).toEqual([
      'trace',
      '__redrive.count',
      '__redrive.letter',
      '__redrive.timestamp',
    ]);
    expect(String(headers['__redrive.timestamp'])).toBe('1700000000123');
  }
});

test('discard has the filters of redrive', () => {
  const args = [
    '--stage',
    'parse',
    '--reason',
    'x',
    '--since',
    '2h',
    '--until',
    '1h',
    '--uid',
    'y',
    '--limit',
    '3',
  ];
  const discard = readCommand(['discard', ...args, '--undo', '--dry-run', '--json']);
  expect(discard).toMatchObject({
    name: 'discard',
    given: { stage: 'parse', uid: 'y', undo: true, limit: 3 },
  });
  expect(() => readCommand(['redrive', ...args])).not.toThrow();
  expect(readCommand(['discard', '--help'])).toMatchObject({ help: expect.stringContaining('--undo') });
});
