import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { clientsOf, temporaryDirectory } from './support/broker.ts';
import { until } from './support/until.ts';

setDefaultTimeout(60_000);

const cli = (...args: string[]) =>
  Bun.spawn([process.execPath, join(import.meta.dir, '../src/cli.ts'), ...args], {
    stdout: 'pipe',
    stderr: 'pipe',
  });

test('the command prints where it listens, applies its options, and keeps what it was sent when it is stopped', async () => {
  await using directory = await temporaryDirectory();
  const options = ['--port', '0', '--data-dir', directory.path, '--partitions', '3'];
  for (const expected of [0, 1]) {
    const child = cli(...options, '--topic-default', 'max.message.bytes=5000');
    const reader = child.stdout.getReader();
    const line = await until(async () => Buffer.from((await reader.read()).value ?? []).toString());
    const brokers = /^listening on (\S+)\n$/.exec(line)?.[1] as string;
    await using clients = clientsOf(brokers);
    const [admin, producer] = await Promise.all([clients.admin(), clients.producer()]);
    if (expected === 0) await admin.createTopics({ topics: [{ topic: 't' }] });
    const offsets = await admin.fetchTopicOffsets('t');
    expect(offsets).toHaveLength(3);
    expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBe(expected);
    await producer.send({ topic: 't', messages: [{ value: 'x' }] });
    const tooLarge = { topic: 't', messages: [{ value: 'x'.repeat(6000) }] };
    await expect(producer.send(tooLarge)).rejects.toThrow('larger than the max');
    await clients[Symbol.asyncDispose]();
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
  }
});

test('an option that makes no sense is refused in one line that names it', async () => {
  const refused: [args: string[], text: string][] = [
    [['--port', 'x'], '--port must be an integer from 0 to 65535, not "x"'],
    [['--nonsense'], "Unknown option '--nonsense'"],
    [['--port', '0', '--topic-default', 'x'], '--topic-default must be KEY=VALUE, not "x"'],
    [['--port', '0', '--topic-default', 'flush.ms=1'], 'flush.ms is not supported'],
  ];
  await Promise.all(
    refused.map(async ([args, text]) => {
      const child = cli(...args);
      expect(await new Response(child.stderr).text()).toStartWith(text);
      expect(await child.exited).toBe(1);
    }),
  );
});
