import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { badKinds } from '../../src/producer/bad-message.ts';
import type { Message } from '../../src/producer/messages.ts';
import { sendPaced } from '../../src/producer/pace.ts';
import { buildOrder } from '../support/build-order.ts';
import { orderSchema, parseOrder } from '../support/order-parser.ts';
import { newTopic, root, type Stored, summed, useProducer } from '../support/producer.ts';

// Each test starts a process, and some wait for it to report an outage.
setDefaultTimeout(180_000);

const { start, run, read, someSent, folder, opened, brokers } = useProducer();

const bytesOf = (messages: Stored[]) =>
  messages.map(({ partition, key, value }) => [partition, key, value?.toString('latin1')]);
const accepted = ({ value }: Stored) => 'order' in parseOrder(value);

test('--count sends exactly that many orders, each valid and with its uid as key', async () => {
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

test('the same --seed sends the same bytes, invalid messages included; another seed does not', async () => {
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

test('--rate is respected, and the orders are spread over time', async () => {
  const topic = newTopic();
  const { seconds } = summed((await run(topic, '--count', '100', '--rate', '50')).output);
  expect(seconds).toBeWithin(1.9, 20);
  const times = (await read(topic)).map(({ timestamp }) => timestamp);
  // Not all of it: the first order may wait for the topic's metadata while the rate limit already counts.
  expect(Math.max(...times) - Math.min(...times)).toBeWithin(1000, 20_000);
  // At most what half a second allows, twice, where a busy machine stalls for as long.
  for (const time of times) expect(times.filter((other) => other === time).length).toBeLessThanOrEqual(50);
});

test('a batch is never empty, and none is generated while the rate limit waits', async () => {
  const sizes: number[] = [];
  const send = async (batch: Message[]) => {
    sizes.push(batch.length);
  };
  const messages = Array<Message>(30).fill({ key: null, value: null, bad: false });
  await sendPaced({ messages, rate: 200, send, signal: new AbortController().signal });
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(30);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
});

test('at one order in ten seconds the producer ends after the last one without waiting', async () => {
  const { code, output } = await run(newTopic(), '--count', '1', '--rate', '0.1');
  expect(code).toBe(0);
  expect(summed(output).seconds).toBeLessThan(9);
});

test('--invalid is the share of invalid messages, of every family, and they are counted separately', async () => {
  const topic = newTopic();
  const { output } = await run(topic, '--count', '400', '--rate', '0', '--invalid', '0.25');
  expect(summed(output)).toMatchObject({ sent: 400, bad: 100 });

  const messages = await read(topic);
  const families = Object.keys(badKinds(orderSchema)).length;
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

test('--file sends each order of a list, unchanged and with its uid as key', async () => {
  const topic = newTopic();
  const { code, output } = await run(topic, '--file', join(import.meta.dir, 'field/array-of-orders.json'));
  expect({ code, ...summed(output) }).toMatchObject({ code: 0, sent: 3 });
  const messages = await read(topic);
  expect(messages.map(({ key }) => key).sort()).toEqual([0, 1, 2].map((n) => `field-array-000${n}`));
  for (const { key, value } of messages) expect(JSON.parse(String(value)).order_uid).toBe(key);
});

test('--file with anything but orders sends nothing, and names the line', async () => {
  const path = join(folder, 'faulty.ndjson');
  await Bun.write(path, `${`${JSON.stringify(buildOrder())}\n`.repeat(5_000)}no JSON\n`);
  const topic = newTopic();
  const { code, output, errors } = await run(topic, '--file', path);
  expect({ code, sent: summed(output).sent }).toEqual({ code: 1, sent: 0 });
  expect(errors).toBe(
    `${path}, line 5001: expected an order, as a JSON object, or a list of them, found "no JSON" (nothing was sent)\n`,
  );
  expect(await read(topic).catch(() => [])).toEqual([]);
});

/** Runs the producer with this text as its standard input, which stays open until `close` is called. */
const startWithInput = (topic: string) => {
  const child = Bun.spawn([process.execPath, 'producer.ts', '--file', '-'], {
    cwd: root,
    env: { ...process.env, KAFKA_BROKERS: brokers(), KAFKA_TOPIC: topic, KAFKA_DLQ_TOPIC: `${topic}_dlq` },
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  opened.push({ stop: () => child.kill('SIGKILL') });
  return {
    child,
    write(text: string) {
      child.stdin.write(text);
      child.stdin.flush();
    },
    async ended() {
      const [output, errors] = await Promise.all(
        [child.stdout, child.stderr].map((stream) => new Response(stream).text()),
      );
      return { code: await child.exited, output: output ?? '', errors };
    },
  };
};

test('--file - sends what arrives on standard input at once, and stops at the first fault', async () => {
  const topic = newTopic();
  const producer = startWithInput(topic);
  const orders = ['first-of-input', 'second-of-input'].map((order_uid) =>
    JSON.stringify(buildOrder({ order_uid })),
  );
  producer.write(`[${orders[0]},`);
  await someSent(topic);
  producer.write(`${orders[1]}\n[`);
  const { code, output, errors } = await producer.ended();
  expect({ code, sent: summed(output).sent }).toEqual({ code: 1, sent: 2 });
  expect(errors).toBe(
    'standard input, line 2: expected "," or the end of the list, found "[" (sent before it: 2)\n',
  );
  expect((await read(topic)).map(({ key }) => key).sort()).toEqual(['first-of-input', 'second-of-input']);
});

test('Ctrl-C ends a producer that waits for standard input, with status 130 and a line that says so', async () => {
  const topic = newTopic();
  const producer = startWithInput(topic);
  producer.write(JSON.stringify(buildOrder()));
  await someSent(topic);
  producer.child.kill('SIGINT');
  const { code, output } = await producer.ended();
  expect({ code, sent: summed(output).sent }).toEqual({ code: 130, sent: 1 });
  expect(output).toContain('stopped before the end: sent 1 message in ');
});

test('SIGTERM in the middle of a file ends the producer with status 143, and says how many of how many were sent', async () => {
  const path = join(folder, 'stopped.ndjson');
  await Bun.write(path, `${JSON.stringify(buildOrder())}\n`.repeat(3_000));
  const topic = newTopic();
  const producer = start(topic, ['--file', path, '--rate', '200']);
  await someSent(topic);
  producer.child.kill('SIGTERM');
  const { code, output } = await producer.end();
  const { sent } = summed(output);
  expect(code).toBe(143);
  expect(output).toContain(`stopped before the end: sent ${sent} of 3000 messages in `);
  expect(sent).toBeLessThan(3_000);
  expect(await read(topic)).toHaveLength(sent);
});

test('a message that is too large for the topic is named, the others are sent, and the status is 1', async () => {
  const topic = newTopic();
  const path = join(folder, 'too-large.ndjson');
  const order = (order_uid: string, length: number) =>
    JSON.stringify({ ...buildOrder({ order_uid }), unknown: 'x'.repeat(length) });
  const lines = [
    order('small-uid-1', 0),
    order('large-uid', 2_000_000),
    ...Array.from({ length: 2_000 }, (_, n) => order(`uid-of-${n}-test`, 0)),
  ];
  await Bun.write(path, lines.join('\n'));
  const { code, output, errors } = await run(topic, '--file', path);
  expect({ code, sent: summed(output).sent }).toEqual({ code: 1, sent: 2_001 });
  expect(errors).toBe(
    `${path}, line 2: the message of ${Buffer.byteLength(String(lines[1]))} bytes with the key "large-uid" is left out: it is too large for the topic ${topic} (max.message.bytes 1048588)\n`,
  );
  expect(await read(topic)).toHaveLength(2_001);
});

test('--file with long lines keeps each batch within the limit of Kafka', async () => {
  const path = join(folder, 'long.ndjson');
  const line = JSON.stringify({ ...buildOrder(), unknown: 'x'.repeat(300_000) });
  await Bun.write(path, `${line}\n`.repeat(10));
  const topic = newTopic();
  const { code, errors, output } = await run(topic, '--file', path);
  expect({ code, errors, sent: summed(output).sent }).toEqual({ code: 0, errors: '', sent: 10 });
});

test('--file --count sends the first orders; an empty file sends nothing', async () => {
  const path = join(folder, 'numbers.ndjson');
  await Bun.write(path, '{"n":1}\n{"n":2}\n{"n":3}\n');
  const topic = newTopic();
  await run(topic, '--file', path, '--count', '2');
  expect((await read(topic)).map(({ value }) => value?.toString()).sort()).toEqual(['{"n":1}', '{"n":2}']);

  await Bun.write(path, '');
  const { code, output } = await run(newTopic(), '--file', path);
  expect({ code, sent: summed(output).sent }).toEqual({ code: 0, sent: 0 });
});
