import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Run = {
  url: string;
  seed: number;
  phases: readonly ('examples' | 'coverage' | 'fuzzing' | 'stateful')[];
  /** At most, for each operation. */
  examples: number;
  /** Statuses from 500 on that the program may answer now. */
  expected?: readonly number[];
  /** Sent with each request. Then no request is sent without it, as a client may send ten wrong tokens a minute. */
  authorization?: string;
  /** Of the operations to ask; without it all. */
  tag?: string;
  excludedPath?: string;
};

type Exchange = { request: { method: string; url: string }; response: { status: number } };

/** Runs all checks of schemathesis; resolves with its output, and every request with the status of its response. */
export const runSchemathesis = async ({ url, seed, phases, examples, expected = [], ...more }: Run) => {
  const { authorization, tag, excludedPath } = more;
  const directory = await mkdtemp(join(tmpdir(), 'order-lookup-contract-'));
  const report = join(directory, 'report.har');
  const config = join(directory, 'schemathesis.toml');
  const statuses = ['2xx', '3xx', '4xx', ...expected.map(String)];
  // Beside the usual ones 431, of numbers that are too long and too many for a request line.
  const refusals = [
    '400',
    '401',
    '403',
    '404',
    '405',
    '406',
    '409',
    '415',
    '422',
    '428',
    '429',
    '431',
    '5xx',
  ];
  await Bun.write(
    config,
    `[checks.not_a_server_error]\nexpected-statuses = ${JSON.stringify(statuses)}\n` +
      `[checks.negative_data_rejection]\nexpected-statuses = ${JSON.stringify(refusals)}\n`,
  );
  const options = {
    checks: 'all',
    phases: phases.join(','),
    'max-examples': examples,
    seed,
    'generation-database': 'none',
    report: 'har',
    'report-har-path': report,
    ...(authorization && { header: `Authorization:${authorization}`, 'exclude-checks': 'ignored_auth' }),
    ...(tag && { 'include-tag': tag }),
    ...(excludedPath && { 'exclude-path': excludedPath }),
  };
  const child = Bun.spawn(
    [
      'schemathesis',
      `--config-file=${config}`,
      'run',
      ...Object.entries(options).map(([name, value]) => `--${name}=${value}`),
      '--no-color',
      `${url}/swagger/json`,
    ],
    { cwd: directory, stdout: 'pipe', stderr: 'pipe' },
  );
  try {
    const [output, errors, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const { log } = (await Bun.file(report).json()) as { log: { entries: Exchange[] } };
    return { status, output: output + errors, exchanges: log.entries };
  } finally {
    await rm(directory, { recursive: true });
  }
};
