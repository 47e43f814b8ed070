/** `.ci/phases.sh`: what a run of CI prints and counts, whatever happens to a phase in the foreground or beside it. */
import { afterAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';

const root = join(import.meta.dir, '../..');
const directory = await mkdtemp(join(tmpdir(), 'ci-phases-'));
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What a run of bun's tests prints at its end. */
const summary = (pass: number, fail = 0) =>
  `printf '${'(fail) one\\n'.repeat(fail)} ${pass} pass\\n ${fail} fail\\n'`;
const suite = (name: string, script: string) =>
  `suite '${name}' . bash -c "${script.replaceAll('$', '\\$')}"`;
const beside = (name: string, script: string) => `begin_${suite(name, script)}`;

const start = (phases: string[]) => {
  const script = [
    'set -euo pipefail',
    'SUITE_LIMIT=2',
    'clean_up() { echo cleaned up; }',
    '. .ci/phases.sh',
    ...phases,
    'finished=yes',
  ].join('\n');
  const child = Bun.spawn(['bash', '-c', script], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', TMPDIR: directory },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const output = new Response(child.stdout).text();
  return {
    child,
    async ended() {
      const lines = (await output).trim().split('\n');
      return { status: await child.exited, lines, last: lines.at(-1) };
    },
  };
};
const run = (...phases: string[]) => start(phases).ended();

test('the tests in the foreground and beside it are added up, and the output of each is whole', async () => {
  const steps = (name: string) => `for n in 1 2 3; do echo ${name} $n; sleep 0.02; done; ${summary(3)}`;
  const { status, lines, last } = await run(
    beside('one', steps('one')),
    beside('two', steps('two')),
    suite('three', steps('three')),
    'join_suite two',
    'join_suite one',
  );
  expect({ status, last }).toEqual({ status: 0, last: '9 passed, 0 failed' });
  const said = lines.filter((line) => /^(one|two|three) \d$/.test(line));
  expect(said).toEqual(['three', 'two', 'one'].flatMap((name) => [1, 2, 3].map((n) => `${name} ${n}`)));
  for (const name of ['one', 'two', 'three'])
    expect(lines.some((line) => line.startsWith(`-- tests, ${name}: ok (`))).toBe(true);
});

const failures: Record<string, [script: string, count: string, outcome: string]> = {
  'has failed tests': [`${summary(3, 2)}; exit 1`, '8 passed, 2 failed', 'failed, status 1'],
  'fails after its tests': [`${summary(3)}; exit 1`, '8 passed, 1 failed', 'failed, status 1'],
  'ends without a test': ['true', '5 passed, 1 failed', 'ok'],
  'ends with 3': ['exit 3', '5 passed, 1 failed', 'NOT CHECKED'],
  'is killed': ['kill -9 $$', '5 passed, 1 failed', 'failed, status 137'],
  'is killed with the one that waits for it': [
    'kill -9 $PPID $$',
    '5 passed, 1 failed',
    'failed, status 137',
  ],
  'is too slow': ['exec sleep 60', '5 passed, 1 failed', 'failed, status 124'],
};

for (const [what, [script, count, outcome]] of Object.entries(failures))
  test.concurrent(`a run of tests that ${what} counts as failed, beside others as in the foreground`, async () => {
    const alone = run(suite('bad', script), suite('good', summary(5)));
    const along = run(beside('bad', script), suite('good', summary(5)), 'join_suite bad');
    for (const { status, lines, last } of await Promise.all([alone, along])) {
      expect({ status, last }).toEqual({ status: 1, last: count });
      expect(lines.some((line) => line.startsWith(`-- tests, bad: ${outcome} (`))).toBe(true);
    }
  });

test('the failed tests of all are printed once more at the end', async () => {
  const { lines } = await run(
    beside('one', `echo reason one; ${summary(1, 1)}; exit 1`),
    suite('two', `echo reason two; ${summary(1, 1)}; exit 1`),
    'join_suite one',
  );
  const again = lines.slice(lines.indexOf('== what failed, again'));
  expect(again.filter((line) => line.startsWith('reason'))).toEqual(['reason two', 'reason one']);
});

test('a phase without which nothing can be tested ends the run as failed, and with it what runs beside it', async () => {
  const { status, lines, last } = await run(
    'begin needed bash -c "exit 7"',
    beside('endless', 'echo begun; sleep 1000; echo over'),
    'sleep 0.2; join needed',
    suite('never', summary(5)),
  );
  expect({ status, last }).toEqual({ status: 7, last: '0 passed, 1 failed' });
  expect(lines).toContain('begun');
  expect(lines).toContain('cleaned up');
  expect(lines).not.toContain('over');
  expect(lines.join()).not.toContain('never');
});

test('a run that is ended ends what runs beside it', async () => {
  const pid = join(directory, 'pid');
  const { child, ended } = start([
    beside('endless', `echo $$ >${pid}; exec sleep 1000`),
    'join_suite endless',
  ]);
  const endless = Number(
    await until(() =>
      Bun.file(pid)
        .text()
        .catch(() => ''),
    ),
  );
  child.kill('SIGTERM');
  const { status, last } = await ended();
  expect({ status, last }).toEqual({ status: 143, last: '0 passed, 1 failed' });
  expect(() => process.kill(endless, 0)).toThrow();
});
