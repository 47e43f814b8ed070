import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from 'kafka-broker';
import { createKafka } from '../../src/kafka/client.ts';
import { createLog } from '../../src/observability/log.ts';
import { parseOrder } from '../../src/order/order.ts';
import { badKinds } from '../../src/producer/bad-message.ts';
import type { Message } from '../../src/producer/messages.ts';
import { sendPaced } from '../../src/producer/pace.ts';
import { buildOrder } from '../support/build-order.ts';

// Each starts a process, some wait for it to lose patience; a busy machine takes its time.
setDefaultTimeout(30_000);

const root = join(import.meta.dir, '../..');
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

const newTopic = () => `producer-${crypto.randomUUID()}`;

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

type Stored = { partition: number; key: string | null; value: Buffer | null; timestamp: number };

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

/** Resolves when there is something in the topic. Each round asks Kafka, so this does not spin. */
const someSent = async (topic: string, at = brokers) => {
  const sent = async () => (await offsets(topic, at).catch(() => [])).some(({ high }) => Number(high) > 0);
  while (!(await sent()));
};

const bytesOf = (messages: Stored[]) =>
  messages.map(({ partition, key, value }) => [partition, key, value?.toString('latin1')]);
const accepted = ({ value }: Stored) => 'order' in parseOrder(value);
const summary = /sent (\d+) \w+( \((\d+) of them deliberately invalid\))? in ([\d.]+) s, ([\d.]+)\/s\n$/;
const summed = (output: string) => {
  const [, sent, , bad = '0', seconds] = summary.exec(output) ?? [];
  return { sent: Number(sent), bad: Number(bad), seconds: Number(seconds) };
};

test('--count orders are sent, no more and no fewer, each valid and under its uid', async () => {
  const topic = newTopic();
  const { code, output, errors } = await run(topic, '--count', '1234', '--rate', '0');
  expect({ code, errors, ...summed(output) }).toMatchObject({ code: 0, errors: '', sent: 1234, bad: 0 });
  const messages = await read(topic);
  expect(messages).toHaveLength(1234);
  for (const { key, value } of messages) {
    expect(parseOrder(value)).toMatchObject({ order: { order_uid: key as string } });
  }
  expect(new Set(messages.map(({ key }) => key)).size).toBe(1234);
  expect(new Set(messages.map(({ partition }) => partition)).size).toBe(4);
});

test('the same --seed sends the same bytes, bad messages included; another seed does not', async () => {
  const sent = async (seed: string) => {
    const topic = newTopic();
    await run(topic, '--seed', seed, '--count', '300', '--rate', '0', '--invalid', '0.3');
    return bytesOf(await read(topic));
  };
  const [first, again, other] = await Promise.all([sent('5'), sent('5'), sent('6')]);
  expect(first).toHaveLength(300);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});

test('--rate is kept to, and the orders are spread over the time', async () => {
  const topic = newTopic();
  const { seconds } = summed((await run(topic, '--count', '100', '--rate', '50')).output);
  expect(seconds).toBeWithin(1.9, 6);
  const times = (await read(topic)).map(({ timestamp }) => timestamp);
  expect(Math.max(...times) - Math.min(...times)).toBeWithin(1800, 6000);
  expect(new Set(times).size).toBeGreaterThan(20);
});

test('a batch is never empty, and none is made while the rate holds it back', async () => {
  const sizes: number[] = [];
  const send = async (batch: Message[]) => {
    sizes.push(batch.length);
  };
  const messages = Array<Message>(30).fill({ key: null, value: null, bad: false });
  await sendPaced({ messages, rate: 200, send, signal: new AbortController().signal });
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(30);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
});

test('at one order in ten seconds the last one is not waited after', async () => {
  const { code, output } = await run(newTopic(), '--count', '1', '--rate', '0.1');
  expect(code).toBe(0);
  expect(summed(output).seconds).toBeLessThan(5);
});

test('--invalid is the share of bad messages, of every family, and they are told apart', async () => {
  const topic = newTopic();
  const { output } = await run(topic, '--count', '400', '--rate', '0', '--invalid', '0.25');
  expect(summed(output)).toMatchObject({ sent: 400, bad: 100 });

  const messages = await read(topic);
  const families = Object.keys(badKinds()).length;
  const conflicts = 100 / families;
  expect(messages.filter((message) => !accepted(message))).toHaveLength(100 - conflicts);
  const reasons = messages
    .map(({ value }) => parseOrder(value))
    .map((parsed) => 'reason' in parsed && parsed.reason);
  for (const reason of ['has no value', 'is empty', 'is not UTF-8', 'is not JSON', 'is missing', 'must be']) {
    expect(
      reasons.filter((text) => typeof text === 'string' && text.includes(reason)).length,
      reason,
    ).toBeGreaterThan(0);
  }

  const uids = messages.filter(accepted).map(({ key }) => key);
  const repeated = uids.filter((uid, at) => uids.indexOf(uid) !== at);
  expect(repeated).toHaveLength(conflicts);
  for (const uid of repeated) {
    const [known, other] = messages.filter(({ key }) => key === uid).map(({ value }) => parseOrder(value));
    expect(other).not.toEqual(known as object);
  }
});

test('--file sends the lines as they are, whatever they are, and knows their uid where it can be read', async () => {
  const order = JSON.stringify(buildOrder());
  const lines = [
    order,
    ` ${order} \r`,
    'no JSON',
    '{"order_uid": 5}',
    '{"order_uid":"ключ-\u{1F600}-1234"}',
    '[]',
    order.slice(1),
  ];
  const path = join(folder, 'lines.ndjson');
  const invalid = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(order)]);
  await Bun.write(path, Buffer.concat([Buffer.from(`${lines.join('\n')}\n\n \r\n`), invalid]));

  const topic = newTopic();
  const { code, output } = await run(topic, '--file', path);
  expect({ code, ...summed(output) }).toMatchObject({ code: 0, sent: 8 });
  const uid = buildOrder().order_uid;
  const keys = [uid, uid, null, null, 'ключ-\u{1F600}-1234', null, null, null];
  const expected = [...lines.map((line) => Buffer.from(line)), invalid].map((value, n) => [
    keys[n],
    value.toString('latin1'),
  ]);
  const sent = bytesOf(await read(topic)).map(([, ...keyAndValue]) => keyAndValue);
  expect(sent.toSorted()).toEqual(expected.toSorted());
});

test('--file sends a document of several lines as one message', async () => {
  const path = join(folder, 'document.json');
  const text = JSON.stringify(buildOrder(), null, 2);
  await Bun.write(path, `${text}\n`);
  const topic = newTopic();
  expect(summed((await run(topic, '--file', path)).output).sent).toBe(1);
  const [message, ...others] = await read(topic);
  expect(others).toEqual([]);
  expect(message).toMatchObject({ key: buildOrder().order_uid, value: Buffer.from(text) });
});

test('--file with lines of a megabyte in all keeps each batch as small as Kafka takes it', async () => {
  const path = join(folder, 'long.ndjson');
  const line = JSON.stringify({ ...buildOrder(), unknown: 'x'.repeat(300_000) });
  await Bun.write(path, `${line}\n`.repeat(10));
  const topic = newTopic();
  const { code, errors, output } = await run(topic, '--file', path);
  expect({ code, errors, sent: summed(output).sent }).toEqual({ code: 0, errors: '', sent: 10 });
});

test('--file --count sends the first lines; an empty file sends nothing', async () => {
  const path = join(folder, 'numbers.ndjson');
  await Bun.write(path, 'one\ntwo\nthree\n');
  const topic = newTopic();
  await run(topic, '--file', path, '--count', '2');
  expect((await read(topic)).map(({ value }) => value?.toString()).sort()).toEqual(['one', 'two']);

  await Bun.write(path, '');
  const { code, output } = await run(newTopic(), '--file', path);
  expect({ code, sent: summed(output).sent }).toEqual({ code: 0, sent: 0 });
});

test('a message that Kafka refuses ends it with exit 1, one line and the sum', async () => {
  const path = join(folder, 'too-long.ndjson');
  await Bun.write(path, `${'x'.repeat(2_000_000)}\n`);
  const { code, output, errors } = await run(newTopic(), '--file', path);
  expect({ code, sent: summed(output).sent }).toEqual({ code: 1, sent: 0 });
  expect(errors).toMatch(/^Kafka refuses: .*large.*\n$/);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} in the middle: all that it says it sent is in the topic, and nothing else`, async () => {
    const topic = newTopic();
    const producer = start(topic, ['--rate', '0', '--invalid', '0.1']);
    await someSent(topic);
    producer.child.kill(signal);
    const { code, output, errors } = await producer.end();
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(summed(output).sent).toBeGreaterThan(0);
    expect(await read(topic)).toHaveLength(summed(output).sent);
  });
}

test('what is in flight at Ctrl-C is waited for, and a second Ctrl-C gives it up', async () => {
  const broker = await embedded();
  broker.faults.delay('Produce', 60_000);
  const producer = start(newTopic(), ['--rate', '1'], { KAFKA_BROKERS: broker.brokers });
  await producer.said(`Kafka at ${broker.brokers} does not answer. Still trying.\n`);
  producer.child.kill('SIGINT');
  await producer.said('Waiting for Kafka to acknowledge 1 order. Ctrl-C again gives them up.\n');
  expect(producer.child.exitCode).toBeNull();
  producer.child.kill('SIGINT');
  expect((await producer.end()).code).toBe(130);
});

test('a broker that hangs is given up after its request timeout, and the message is sent again, once', async () => {
  const broker = await embedded();
  const topic = newTopic();
  broker.faults.delay('Produce', 60_000);
  const producer = start(topic, ['--count', '1'], { KAFKA_BROKERS: broker.brokers });
  const at = performance.now();
  expect((await producer.end()).code).toBe(0);
  expect(performance.now() - at).toBeLessThan(20_000);
  expect(await read(topic, broker.brokers)).toHaveLength(1);
});

test('an answer that is lost doubles nothing', async () => {
  const broker = await embedded();
  const topic = newTopic();
  broker.faults.drop('Produce', 'after', 2);
  const producer = start(topic, ['--rate', '0', '--count', '3000'], { KAFKA_BROKERS: broker.brokers });
  const { code, output } = await producer.end();
  expect({ code, sent: summed(output).sent }).toEqual({ code: 0, sent: 3000 });
  expect(await read(topic, broker.brokers)).toHaveLength(3000);
});

const closedPort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

test('without Kafka it says once how to start one, keeps trying, and goes on when Kafka is there', async () => {
  const port = closedPort();
  const topic = newTopic();
  const producer = start(topic, ['--count', '3', '--rate', '0'], { KAFKA_BROKERS: `127.0.0.1:${port}` });
  const hint = `No Kafka at 127.0.0.1:${port} yet. Still trying.\n`;
  await producer.said(hint);
  const broker = await embedded(port);
  const { code, output } = await producer.end();
  expect(output).toStartWith(`${hint}Kafka answers.\nsent 3 orders in `);
  expect(code).toBe(0);
  expect(await read(topic, broker.brokers)).toHaveLength(3);
});

test('Ctrl-C while Kafka accepts connections and says nothing ends it at once', async () => {
  const mute = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  opened.push({ stop: () => mute.stop(true) });
  const producer = start(newTopic(), [], { KAFKA_BROKERS: `127.0.0.1:${mute.port}` });
  await producer.said('Still trying.\n');
  const at = performance.now();
  producer.child.kill('SIGINT');
  const { code, output } = await producer.end();
  expect(performance.now() - at).toBeLessThan(2000);
  expect(code).toBe(0);
  expect(output).toEndWith('Still trying.\nsent 0 orders in 0.0 s, 0.0/s\n');
});

test('what is in flight when Kafka goes away is sent when it is back, Ctrl-C or not', async () => {
  const dataDir = mkdtempSync(join(folder, 'broker-'));
  const broker = await embedded(0, dataDir);
  const topic = newTopic();
  const producer = start(topic, ['--rate', '50'], { KAFKA_BROKERS: broker.brokers });
  await someSent(topic, broker.brokers);
  await broker.stop();
  // Hangs up on everybody until kafkajs has given up more than once.
  const { promise: givenUp, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const open = (socket: { end(): void }) => {
    socket.end();
    if (++calls === 20) resolve();
  };
  const deaf = Bun.listen({ hostname: '127.0.0.1', port: broker.port, socket: { open, data() {} } });
  await producer.said('does not answer. Still trying.\n');
  producer.child.kill('SIGINT');
  await producer.said('Waiting for Kafka to acknowledge ');
  await givenUp;
  deaf.stop(true);
  await embedded(broker.port, dataDir);

  const { code, output } = await producer.end();
  expect(code).toBe(0);
  expect(output).toContain('Kafka answers.\n');
  expect(await read(topic, broker.brokers)).toHaveLength(summed(output).sent);
  expect(summed(output).sent).toBeGreaterThan(Number(/acknowledge (\d+) /.exec(output)?.[1]));
});

test('on a terminal one line is renewed with the count and the rate', async () => {
  let shown = '';
  const child = Bun.spawn([process.execPath, 'producer.ts', '--count', '40', '--rate', '20'], {
    cwd: root,
    env: { ...process.env, KAFKA_BROKERS: brokers, KAFKA_TOPIC: newTopic(), KAFKA_DLQ_TOPIC: newTopic() },
    terminal: {
      data(_, bytes) {
        shown += new TextDecoder().decode(bytes);
      },
    },
  });
  expect(await child.exited).toBe(0);
  // Each time: back to the start of the line, and clear it.
  const [before, ...lines] = shown.split('\r\x1b[K');
  expect(before).toBe('');
  expect(lines.pop()).toMatch(/^sent 40 orders in [\d.]+ s, [\d.]+\/s\r\n$/);
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) expect(line).toMatch(/^\d+ orders?, \d+\.\d\/s$/);
});

test('--quiet says nothing while all is well, and that Kafka is away when it is', async () => {
  const topic = newTopic();
  expect(await run(topic, '--quiet', '--count', '5', '--rate', '0')).toEqual({
    code: 0,
    output: '',
    errors: '',
  });
  expect(await read(topic)).toHaveLength(5);

  const producer = start(topic, ['--quiet'], { KAFKA_BROKERS: `127.0.0.1:${closedPort()}` });
  await producer.said('Still trying.\n');
  producer.child.kill('SIGINT');
  expect((await producer.end()).output).toMatch(/^No Kafka at [^\n]+\n$/);
});

test('as a thread of another process it sends too, and ends with that thread alone', async () => {
  const topic = newTopic();
  const thread = new Worker(join(root, 'producer.ts'), {
    argv: ['--quiet', '--count', '5', '--rate', '0'],
    env: { KAFKA_BROKERS: brokers, KAFKA_TOPIC: topic, KAFKA_DLQ_TOPIC: `${topic}_dlq` },
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
  [['--file', '/no/such/file'], '--file holds "/no/such/file"; allowed: the path of a file'],
  [['--file', '.'], '--file holds "."; allowed: the path of a file'],
  [
    ['--file', 'package.json', '--seed', '1'],
    '--seed has no effect with --file, whose lines are sent unchanged; give one of them',
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
  test(`${args.join(' ')} is refused with exit 2 and one line`, async () => {
    expect(await run(newTopic(), ...args)).toEqual({ code: 2, output: '', errors: `${line}\n` });
  });
}

test('a bad environment is refused with exit 2 and one line', async () => {
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
