import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { newTopic, root, useProducer, withoutWaits } from '../support/producer.ts';

// Each test starts a process, and some wait for it to report an outage.
setDefaultTimeout(60_000);

const { start, run, read, brokers, folder } = useProducer();

test('on a terminal one line is overwritten with the count and the rate', async () => {
  let shown = '';
  const child = Bun.spawn([process.execPath, 'producer.ts', '--count', '40', '--rate', '20'], {
    cwd: root,
    env: { ...process.env, KAFKA_BROKERS: brokers(), KAFKA_TOPIC: newTopic(), KAFKA_DLQ_TOPIC: newTopic() },
    terminal: {
      data(_, bytes) {
        shown += new TextDecoder().decode(bytes);
      },
    },
  });
  expect(await child.exited).toBe(0);
  // Each time: back to the start of the line, and clear it.
  const [before, ...lines] = withoutWaits(shown).split('\r\x1b[K');
  expect(before).toBe('');
  expect(lines.pop()).toMatch(/^sent 40 orders in [\d.]+ s, [\d.]+\/s\r\n$/);
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) expect(line).toMatch(/^\d+ orders?, \d+\.\d\/s$/);
});

test('of a file the share that is sent and the time that is left are shown', async () => {
  const path = join(folder, 'orders.ndjson');
  await Bun.write(path, '{"n":1}\n'.repeat(60));
  let shown = '';
  const child = Bun.spawn([process.execPath, 'producer.ts', '--file', path, '--rate', '20'], {
    cwd: root,
    env: { ...process.env, KAFKA_BROKERS: brokers(), KAFKA_TOPIC: newTopic(), KAFKA_DLQ_TOPIC: newTopic() },
    terminal: {
      data(_, bytes) {
        shown += new TextDecoder().decode(bytes);
      },
    },
  });
  expect(await child.exited).toBe(0);
  expect(shown).toMatch(/\d+ messages, \d+\.\d\/s, \d+ %, [1-3] s left/);
});

test('the producer runs in a thread of another process, and ends only that thread', async () => {
  const topic = newTopic();
  const thread = new Worker(join(root, 'producer.ts'), {
    argv: ['--quiet', '--count', '5', '--rate', '0'],
    env: { KAFKA_BROKERS: brokers(), KAFKA_TOPIC: topic, KAFKA_DLQ_TOPIC: `${topic}_dlq` },
  });
  const { promise: closed, resolve } = Promise.withResolvers<number>();
  thread.addEventListener('close', (event) => resolve((event as CloseEvent).code));
  expect(await closed).toBe(0);
  expect(await read(topic)).toHaveLength(5);
});

const rateHint = 'allowed: a number from 0.001 to 1000000, or 0 for no limit';

for (const [args, line] of [
  [['--rate', 'fast'], `--rate holds "fast"; ${rateHint}`],
  [['--rate', '-1'], `--rate holds "-1"; ${rateHint}`],
  [['--rate', '0.0001'], `--rate holds "0.0001"; ${rateHint}`],
  [['--rate'], `--rate has no value; ${rateHint}`],
  [['--rate='], `--rate holds ""; ${rateHint}`],
  [['--count', '0'], '--count holds "0"; allowed: an integer from 1 to 9007199254740991'],
  [['--count', '1e3'], '--count holds "1e3"; allowed: an integer from 1 to 9007199254740991'],
  [
    ['--seed', '9007199254740992'],
    '--seed holds "9007199254740992"; allowed: an integer from 0 to 9007199254740991',
  ],
  [['--invalid', '10%'], '--invalid holds "10%"; allowed: a share from 0 to 1, such as 0.1'],
  [
    ['--file', '/no/such/file'],
    '--file holds "/no/such/file"; allowed: the path of an existing file, or - for standard input',
  ],
  [['--file', '.'], '--file holds "."; allowed: the path of an existing file, or - for standard input'],
  [
    ['--file', 'package.json', '--seed', '1'],
    '--seed has no effect with --file, whose orders are sent unchanged; give one of them',
  ],
  [
    ['--speed', '3'],
    '"--speed" is not an option; these are: --rate, --count, --seed, --invalid, --file, --quiet, --help',
  ],
  [
    ['orders'],
    '"orders" is not an option; these are: --rate, --count, --seed, --invalid, --file, --quiet, --help',
  ],
] as const) {
  test(`${args.join(' ')} is rejected with status 2 and one line`, async () => {
    expect(await run(newTopic(), ...args)).toEqual({ code: 2, output: '', errors: `${line}\n` });
  });
}

test('an invalid environment is rejected with status 2 and one line', async () => {
  const { code, errors } = await start(newTopic(), [], { KAFKA_TOPIC: 'a topic' }).end();
  expect(code).toBe(2);
  expect(errors).toMatch(/^KAFKA_TOPIC holds "a topic"; allowed: .*\n$/);
});

test('--help explains every option', async () => {
  for (const help of ['--help', '-h']) {
    const { code, output } = await run(newTopic(), help);
    expect(code).toBe(0);
    for (const name of ['rate', 'count', 'seed', 'invalid', 'file', 'quiet', 'help'])
      expect(output).toContain(`--${name} `);
  }
});
