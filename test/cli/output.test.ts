import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { until } from '../support/until.ts';

/** Writes `count` lines of JSON. Like pino, it has looked at `process.stdout` before, which makes the pipe non-blocking. */
const program = (count: number) => `
  import { createOutput } from '${join(import.meta.dir, '../../src/cli/output.ts')}';
  process.stdout.isTTY;
  const output = createOutput();
  try {
    for (let n = 0; n < ${count}; n++)
      await output.write(JSON.stringify({ n, text: 'x'.repeat((n * 37) % 6_000) }));
    await output.flush();
    process.exit(0);
  } catch (error) {
    console.error(error.code);
    process.exit(1);
  }`;

/** Runs the program with its output in a pipe to a shell's command. */
const runInto = (reader: string, count: number) =>
  Bun.spawn(['sh', '-c', `"${process.execPath}" -e "$0" | ${reader}`, program(count)], {
    stdout: 'pipe',
    stderr: 'pipe',
  });

test('more than a pipe holds arrives as it was written', async () => {
  const child = runInto('cat', 3_000);
  const lines = (await new Response(child.stdout).text()).trimEnd().split('\n');
  expect(lines.length).toBe(3_000);
  expect(lines.map((line) => JSON.parse(line).n)).toEqual([...lines.keys()]);
});

test('progress on a narrow terminal stays on one line', async () => {
  const show = `
    import { createProgress } from '${join(import.meta.dir, '../../src/cli/output.ts')}';
    const progress = createProgress();
    const begun = performance.now();
    while (performance.now() - begun < 250);
    progress.show('x'.repeat(200));`;
  let shown = '';
  const child = Bun.spawn([process.execPath, '-e', show], {
    terminal: { cols: 30, rows: 5, data: (_, data) => (shown += new TextDecoder().decode(data)) },
  });
  await child.exited;
  await until(() => shown.includes('x…'));
  expect(shown).toContain(`\x1b[K${'x'.repeat(28)}…`);
  expect(shown).not.toContain('x'.repeat(29));
});

test('a reader that goes away rejects the write with EPIPE', async () => {
  const child = runInto('head -n 1', 3_000);
  expect(await new Response(child.stdout).text()).toBe('{"n":0,"text":""}\n');
  expect(await new Response(child.stderr).text()).toBe('EPIPE\n');
});

test('no program writes through Bun.stdout', async () => {
  const root = join(import.meta.dir, '../..');
  const writers: string[] = [];
  for (const file of new Bun.Glob(
    '{*.ts,{src,scripts,bench}/**/*.{ts,tsx},packages/*/{src,bench}/**/*.ts}',
  ).scanSync(root))
    if (/Bun\.write\(\s*Bun\.std|Bun\.std(out|err)\.w/.test(await Bun.file(join(root, file)).text()))
      writers.push(file);
  expect(writers).toEqual([]);
});
