/** The broker as franz-go and librdkafka (confluent-kafka) see it, where Go and that package are installed. */
import { beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testBroker } from './support/broker.ts';

setDefaultTimeout(300_000);

const clients = join(import.meta.dir, 'clients');
const go = Bun.which('go');
/** A Python that has confluent-kafka. */
const python = process.env.CONFLUENT_KAFKA_PYTHON ?? 'python3';
const hasConfluentKafka =
  Bun.which(python) !== null && Bun.spawnSync([python, '-c', 'import confluent_kafka']).success;
if (!go) console.warn('The broker is not tested with franz-go: Go is not installed.');
if (!hasConfluentKafka) {
  const how = 'pip install -r packages/kafka-broker/test/clients/confluent-kafka/requirements.txt';
  console.warn(`The broker is not tested with confluent-kafka: ${how}, and CONFLUENT_KAFKA_PYTHON.`);
}

/** Rejects with what the program printed if it fails. */
const run = async (command: string[], cwd: string): Promise<string> => {
  const child = Bun.spawn(command, { cwd, stdout: 'pipe', stderr: 'pipe' });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (child.exitCode !== 0) throw new Error(`${command.join(' ')}: ${child.exitCode}\n${output}${errors}`);
  return output;
};

if (go) {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'franz-go-'));
    await run([go, 'build', '-o', join(directory, 'client'), '.'], join(clients, 'franz-go'));
  });

  test('franz-go: topics, partitions, idempotent producing, a static member, offsets, deleted records', async () => {
    await using broker = await testBroker();
    const output = await run([join(directory, 'client'), broker.brokers], directory);
    expect(output).toContain('a transactional producer is refused');
    await rm(directory, { recursive: true });
  });
}

if (hasConfluentKafka) {
  test('confluent-kafka: topics, partitions, idempotent producing, a static member, deleted records; errors do not spin', async () => {
    await using broker = await testBroker();
    const output = await run([python, 'main.py', broker.brokers], join(clients, 'confluent-kafka'));
    expect(output).toContain('a transactional producer is refused');
  });
}
