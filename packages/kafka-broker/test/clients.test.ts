/** The embedded broker as librdkafka (kcat) and Apache Kafka's own Java clients see it, where these are installed. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { codecs, testBroker } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(240_000);

const kcat = Bun.which('kcat');
const java = Bun.which('java');
const jars = resolve(process.env.KAFKA_LIBS ?? '');
const hasJars = (() => {
  try {
    return readdirSync(jars).some((name) => name.startsWith('kafka-tools'));
  } catch {
    return false;
  }
})();
if (!kcat) console.warn('The embedded broker is not tested with librdkafka: kcat is not installed.');
if (!java || !hasJars) {
  console.warn(
    "The embedded broker is not tested with Kafka's Java tools: no Java, or no jars (KAFKA_LIBS).",
  );
}

/** A running program whose output is collected; killed when its scope ends. */
const start = (command: string[], input = '') => {
  const child = Bun.spawn(command, { stdin: new Blob([input]), stdout: 'pipe', stderr: 'pipe' });
  const output = { text: '', errors: '' };
  const collect = async (stream: ReadableStream<Uint8Array>, into: 'text' | 'errors') => {
    const reader = stream.pipeThrough(new TextDecoderStream() as never).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) output[into] += part.value;
  };
  const collected = Promise.all([collect(child.stdout, 'text'), collect(child.stderr, 'errors')]);
  const kill = async () => {
    child.kill('SIGKILL');
    await child.exited;
  };
  return {
    lines: () => output.text.split('\n').slice(0, -1),
    errors: () => output.errors,
    /** Resolves with the lines printed when the program ends well. */
    async end() {
      await Promise.all([child.exited, collected]);
      if (child.exitCode !== 0)
        throw new Error(`${command.join(' ')} ended with ${child.exitCode}: ${output.errors}`);
      return output.text.split('\n').slice(0, -1);
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
};

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `value ${from + i}`);
const asInput = (lines: string[]) => lines.map((line) => `${line}\n`).join('');

if (kcat) {
  const run = (brokers: string, args: string[], input = '') => start([kcat, '-b', brokers, ...args], input);
  const produce = (brokers: string, lines: string[], ...args: string[]) =>
    run(brokers, ['-P', '-t', 't', ...args], asInput(lines)).end();
  const consume = (brokers: string) => run(brokers, ['-C', '-t', 't', '-o', 'beginning', '-e', '-q']).end();

  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    test(`kcat: what is produced with ${codec} is so compressed, and consumed`, async () => {
      await using broker = await testBroker();
      // All in one batch: a single message may be larger compressed than it is, and then is sent as it is.
      await produce(broker.brokers, numbers(0, 1000), '-z', codec, '-X', 'linger.ms=500');
      expect(await codecs(broker.port, 't')).toEqual([codec]);
      expect(await consume(broker.brokers)).toEqual(numbers(0, 1000));
    });
  }

  test('kcat: an idempotent producer that is refused now and then stores all, once and in order', async () => {
    await using broker = await testBroker();
    // kcat itself gives up when its only broker hangs up, so errors are all it can be given.
    broker.faults.error('Produce', 'NOT_LEADER_OR_FOLLOWER', 2);
    broker.faults.delay('Produce', 200);
    broker.faults.error('Produce', 'NOT_ENOUGH_REPLICAS', 2);
    const idempotent = ['-X', 'enable.idempotence=true', '-X', 'batch.num.messages=100', '-X', 'linger.ms=0'];
    await produce(broker.brokers, numbers(0, 2000), ...idempotent);
    expect(await consume(broker.brokers)).toEqual(numbers(0, 2000));
  });

  test('kcat: a full disk is waited out', async () => {
    await using broker = await testBroker();
    await produce(broker.brokers, ['before']);
    broker.faults.fillDisk(true);
    const producing = produce(broker.brokers, ['during']);
    await until(() => broker.lines.some((line) => line.includes('disk full; clients retry')));
    broker.faults.fillDisk(false);
    await producing;
    expect(await consume(broker.brokers)).toEqual(['before', 'during']);
  });

  test('kcat: of two consumers in a group, the one left takes over when the other is killed', async () => {
    await using broker = await testBroker();
    const admin = await broker.admin();
    await admin.createTopics({ topics: [{ topic: 't', numPartitions: 4 }] });
    const timing = ['-X', 'session.timeout.ms=1000', '-X', 'heartbeat.interval.ms=100'];
    const member = () => run(broker.brokers, [...timing, '-G', 'pair', '-o', 'beginning', '-u', 't']);
    await using first = member();
    await using second = member();
    const members = async () => {
      const [group] = (await admin.describeGroups(['pair'])).groups;
      return group?.state === 'Stable' ? group.members.length : 0;
    };
    await until(async () => (await members()) === 2);
    const producer = await broker.producer();
    const send = (values: string[]) =>
      producer.send({ topic: 't', messages: values.map((value) => ({ value })) });
    await send(numbers(0, 40));
    await until(() => first.lines().length === 20 && second.lines().length === 20);

    await second.kill();
    await until(async () => (await members()) === 1);
    await send(numbers(40, 80));
    await until(() => numbers(40, 80).every((value) => first.lines().includes(value)));
  });
}

if (java && hasJars) {
  const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error';
  const run = (tool: string, brokers: string, args: string[], input = '') =>
    start(
      [
        ...[java, '-Xmx128m', '-XX:TieredStopAtLevel=1', quiet, '-cp', join(jars, '*')],
        ...[`org.apache.kafka.tools.${tool}`, '--bootstrap-server', brokers, ...args],
      ],
      input,
    );
  const consumer = 'consumer.ConsoleConsumer';
  const fromBeginning = ['--topic', 't', '--from-beginning', '--group', 'java'];

  test("Kafka's Java tools: topics are created, described and deleted", async () => {
    await using broker = await testBroker();
    const topics = (...args: string[]) => run('TopicCommand', broker.brokers, args).end();
    await topics('--create', '--topic', 't', '--partitions', '3', '--config', 'max.message.bytes=2000000');
    expect(await topics('--list')).toEqual(['t']);
    const [described = ''] = await topics('--describe', '--topic', 't');
    expect(described).toContain('PartitionCount: 3');
    expect(described).toContain('max.message.bytes=2000000');
    await topics('--delete', '--topic', 't');
    expect(await topics('--list')).toEqual(['']);
  });

  test("Kafka's Java tools: the console consumer gets what the console producer sent, and its group is described", async () => {
    await using broker = await testBroker();
    await run('ConsoleProducer', broker.brokers, ['--topic', 't'], asInput(numbers(0, 500))).end();
    const first = await run(consumer, broker.brokers, [...fromBeginning, '--max-messages', '400']).end();
    expect(first).toEqual(numbers(0, 400));
    const describe = () =>
      run('consumer.group.ConsumerGroupCommand', broker.brokers, ['--describe', '--group', 'java']).end();
    expect((await describe()).join('\n')).toMatch(/java\s+t\s+0\s+400\s+500\s+100/);
    const rest = await run(consumer, broker.brokers, [...fromBeginning, '--max-messages', '100']).end();
    expect(rest).toEqual(numbers(400, 500));
    const groups = await run('consumer.group.ConsumerGroupCommand', broker.brokers, ['--list']).end();
    expect(groups).toContain('java');
  });

  test("Kafka's Java tools: a producer that lost its connections before and after the append stores all, once", async () => {
    await using broker = await testBroker();
    broker.faults.drop('Produce', 'after', 2);
    broker.faults.drop('Produce', 'before', 2);
    broker.faults.error('Produce', 'NOT_LEADER_OR_FOLLOWER', 2);
    await run('ConsoleProducer', broker.brokers, ['--topic', 't'], asInput(numbers(0, 2000))).end();
    const values = await run(consumer, broker.brokers, [...fromBeginning, '--max-messages', '2000']).end();
    expect(values).toEqual(numbers(0, 2000));
    expect(await (await broker.admin()).fetchTopicOffsets('t')).toMatchObject([{ high: '2000' }]);
  });

  test("Kafka's Java tools: of two consumers in a group, the one left takes over when the other is killed", async () => {
    await using broker = await testBroker();
    const admin = await broker.admin();
    await admin.createTopics({ topics: [{ topic: 't', numPartitions: 4 }] });
    const timing = ['--consumer-property', 'session.timeout.ms=1500'];
    timing.push('--consumer-property', 'heartbeat.interval.ms=200');
    const member = () => run(consumer, broker.brokers, [...fromBeginning, ...timing]);
    await using first = member();
    await using second = member();
    const members = async () => {
      const [group] = (await admin.describeGroups(['java'])).groups;
      return group?.state === 'Stable' ? group.members.length : 0;
    };
    await until(async () => (await members()) === 2);
    const producer = await broker.producer();
    const send = (values: string[]) =>
      producer.send({ topic: 't', messages: values.map((value) => ({ value })) });
    await send(numbers(0, 40));
    await until(() => first.lines().length === 20 && second.lines().length === 20);

    await second.kill();
    await until(async () => (await members()) === 1);
    await send(numbers(40, 80));
    await until(() => numbers(40, 80).every((value) => first.lines().includes(value)));
  });
}
