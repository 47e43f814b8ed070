import { expect, test } from 'bun:test';
import { join } from 'node:path';

const root = join(import.meta.dir, '../..');

const run = async (...command: string[]) => {
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '' },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { status: await child.exited, output, errors };
};

test.each([
  ['producer.ts', ['ORDER_*', 'TRACK_PATTERN', 'KAFKA_PARTITIONS', 'KAFKA_DLQ_TOPIC', 'DLQ_RETENTION_DAYS']],
  ['scripts/dead-letters.ts', ['ORDER_*', 'TRACK_PATTERN', 'KAFKA_MAX_BATCH_BYTES', 'KAFKA_DLQ_TOPIC']],
])('the help of %s names the settings that it reads', async (file, variables) => {
  const { output } = await run(file, '--help');
  for (const variable of ['KAFKA_BROKERS', 'KAFKA_TOPIC', 'KAFKA_SSL*', 'KAFKA_SASL_*', ...variables])
    expect(output).toContain(variable);
});

test.each(['scripts/audit.ts', 'scripts/docs.ts', 'scripts/screenshots.ts', 'src/main.ts'])(
  '%s prints a usage line for --help, rejects other arguments, and does nothing else',
  async (file) => {
    const help = await run(file, '--help');
    expect(help).toMatchObject({ status: 0, errors: '' });
    expect(help.output).toMatch(/^Usage: bun [^\n]+\n$/);
    const other = await run(file, 'all');
    expect(other).toMatchObject({ status: 2, output: '' });
    expect(other.errors).toMatch(/^"all" is not allowed\. Usage: bun [^\n]+\n$/);
  },
  60_000,
);

test('what a shell script calls in a module is exported there', async () => {
  const script = await Bun.file(join(root, 'test/deploy/with-engine.sh')).text();
  const calls = [...script.matchAll(/import\("\.\/([^"]+)"\)\)\.(\w+)\(/g)];
  expect(calls).not.toEqual([]);
  for (const [, file = '', name = ''] of calls)
    expect([file, name, typeof (await import(join(root, file)))[name]]).toEqual([file, name, 'function']);
});
