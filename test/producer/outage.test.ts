import { expect, setDefaultTimeout } from 'bun:test';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { testFewAtOnce } from '../support/few-at-once.ts';
import { newTopic, summed, useProducer, withoutWaits } from '../support/producer.ts';
import { until } from '../support/until.ts';

// Each test starts a process, and some wait for it to report an outage.
setDefaultTimeout(180_000);
const test = testFewAtOnce();

const { start, run, read, someSent, embedded, opened, folder } = useProducer();

test('a message that Kafka rejects ends the producer with status 1, one line and the summary', async () => {
  const broker = await embedded();
  const topic = newTopic();
  broker.faults.error('Produce', 'TOPIC_AUTHORIZATION_FAILED', { topic });
  const { code, output, errors } = await start(topic, ['--count', '1'], {
    KAFKA_BROKERS: broker.brokers,
  }).end();
  expect({ code, sent: summed(output).sent }).toEqual({ code: 1, sent: 0 });
  expect(errors).toMatch(/^Kafka refuses: .*[Aa]uthorized.*\n$/);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} in the middle of the stream: the topic has exactly the messages reported as sent`, async () => {
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

test('Ctrl-C waits for messages in flight, and a second Ctrl-C does not', async () => {
  const broker = await embedded();
  broker.faults.delay('Produce', 60_000);
  const producer = start(newTopic(), ['--rate', '1'], { KAFKA_BROKERS: broker.brokers });
  await producer.said(`Kafka at ${broker.brokers} does not answer. Still trying.\n`);
  producer.child.kill('SIGINT');
  await producer.said('Waiting for Kafka to acknowledge 1 order. Ctrl-C again abandons them.\n');
  // A second one within half a second counts as the same.
  await until(() => {
    producer.child.kill('SIGINT');
    return producer.child.exitCode !== null;
  });
  expect((await producer.end()).code).toBe(130);
});

test('a broker that hangs times out, and its message is sent again, once', async () => {
  const broker = await embedded();
  const topic = newTopic();
  broker.faults.delay('Produce', 60_000);
  const producer = start(topic, ['--count', '1'], { KAFKA_BROKERS: broker.brokers });
  const at = performance.now();
  expect((await producer.end()).code).toBe(0);
  expect(performance.now() - at).toBeLessThan(45_000);
  expect(await read(topic, broker.brokers)).toHaveLength(1);
});

test('a lost response causes no duplicates', async () => {
  const broker = await embedded();
  const topic = newTopic();
  broker.faults.drop('Produce', 'after', 2);
  const producer = start(topic, ['--rate', '0', '--count', '3000'], { KAFKA_BROKERS: broker.brokers });
  const { code, output } = await producer.end();
  expect({ code, sent: summed(output).sent }).toEqual({ code: 0, sent: 3000 });
  expect(await read(topic, broker.brokers)).toHaveLength(3000);
});

test('messages without a key that Kafka stored without acknowledging cost none of the others', async () => {
  const broker = await embedded();
  const topic = newTopic();
  const path = join(folder, 'no-keys.ndjson');
  const values = Array.from({ length: 40 }, (_, n) => `{"order_uid":null,"n":${n}}`);
  await Bun.write(path, values.join('\n'));
  // More often than kafkajs tries, for each message of the first batch and some of the others.
  const remove = broker.faults.drop('Produce', 'after', 8);
  const producer = start(topic, ['--file', path, '--rate', '10'], { KAFKA_BROKERS: broker.brokers });
  const { code, output } = await producer.end();
  remove();
  expect({ code, sent: summed(output).sent }).toEqual({ code: 0, sent: 40 });
  const stored = (await read(topic, broker.brokers)).map(({ value }) => String(value));
  expect(stored.toSorted()).toEqual(values.toSorted());
});

const closedPort = () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
};

test('without Kafka the producer prints one hint, keeps retrying, and continues when Kafka is available', async () => {
  const port = closedPort();
  const topic = newTopic();
  const producer = start(topic, ['--count', '3', '--rate', '0'], { KAFKA_BROKERS: `127.0.0.1:${port}` });
  const hint = `No Kafka at 127.0.0.1:${port} yet. Still trying.\n`;
  await producer.said(hint);
  const broker = await embedded(port);
  const { code, output } = await producer.end();
  expect(output).toStartWith(`${hint}Kafka answers.\n`);
  expect(withoutWaits(output)).toStartWith('sent 3 orders in ');
  expect(code).toBe(0);
  expect(await read(topic, broker.brokers)).toHaveLength(3);
});

test('Ctrl-C while Kafka accepts connections but does not answer ends the producer at once', async () => {
  const mute = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  opened.push({ stop: () => mute.stop(true) });
  const producer = start(newTopic(), [], { KAFKA_BROKERS: `127.0.0.1:${mute.port}` });
  await producer.said('Still trying.\n');
  const at = performance.now();
  producer.child.kill('SIGINT');
  const { code, output } = await producer.end();
  expect(performance.now() - at).toBeLessThan(8_000);
  expect(code).toBe(0);
  expect(output).toEndWith('Still trying.\nsent 0 orders in 0.0 s, 0.0/s\n');
});

test('messages in flight during an outage are sent after it, even after Ctrl-C', async () => {
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

test('--quiet prints nothing except that Kafka is unavailable', async () => {
  const topic = newTopic();
  const { code, output, errors } = await run(topic, '--quiet', '--count', '5', '--rate', '0');
  expect({ code, output: withoutWaits(output), errors }).toEqual({ code: 0, output: '', errors: '' });
  expect(await read(topic)).toHaveLength(5);

  const producer = start(topic, ['--quiet'], { KAFKA_BROKERS: `127.0.0.1:${closedPort()}` });
  await producer.said('Still trying.\n');
  producer.child.kill('SIGINT');
  expect((await producer.end()).output).toMatch(/^No Kafka at [^\n]+\n$/);
});
