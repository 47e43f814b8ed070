import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { parseOrder } from '../../src/order/order.ts';
import { badKinds } from '../../src/producer/bad-message.ts';
import type { Message } from '../../src/producer/messages.ts';
import { sendPaced } from '../../src/producer/pace.ts';
import { buildOrder } from '../support/build-order.ts';
import { newTopic, type Stored, summed, useProducer } from '../support/producer.ts';

// Each test starts a process, and some wait for it to report an outage.
setDefaultTimeout(30_000);

const { run, read, folder } = useProducer();

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
  expect(seconds).toBeWithin(1.9, 6);
  const times = (await read(topic)).map(({ timestamp }) => timestamp);
  expect(Math.max(...times) - Math.min(...times)).toBeWithin(1800, 6000);
  expect(new Set(times).size).toBeGreaterThan(20);
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
  expect(summed(output).seconds).toBeLessThan(5);
});

test('--invalid is the share of invalid messages, of every family, and they are counted separately', async () => {
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

test('--file sends any lines unchanged, with the uid as key if there is one', async () => {
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

test('--file with long lines keeps each batch within the limit of Kafka', async () => {
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
