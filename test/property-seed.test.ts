import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { readableStreamToText } from 'bun';
import { temporaryDirectory } from '../packages/kafka-broker/test/support/broker.ts';

setDefaultTimeout(60_000);

const run = async (environment: Record<string, string>) => {
  await using folder = await temporaryDirectory();
  const log = join(folder.path, 'log');
  const child = Bun.spawn([process.execPath, 'test', './test/support/failing-properties.ts'], {
    env: { ...process.env, PROPERTY_LOG: log, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const errors = await readableStreamToText(child.stderr);
  return { errors, log: await Bun.file(log).text() };
};

test('a property that fails or does not end prints its seed, and a log has it with the counterexample; the seed repeats it', async () => {
  const { errors, log } = await run({ PROPERTY_SEED: '7' });
  const place = (line: number) =>
    `PROPERTY_SEED=7 the property at test/support/failing-properties.ts:${line}`;
  const lines = log.trimEnd().split('\n');
  expect(lines.map((line) => line.slice(line.indexOf('PROPERTY_SEED')))).toEqual([
    expect.stringMatching(new RegExp(`^${place(6)} fails in run \\d+, path [\\d:]+: \\[1000\\]$`)),
    expect.stringMatching(new RegExp(`^${place(14)} fails in run \\d+, path [\\d:]+: \\[1000\\]$`)),
    `${place(22)} did not end in time`,
  ]);
  for (const line of lines) expect(errors).toContain(line.slice(line.indexOf('PROPERTY_SEED')));
  const again = await run({ PROPERTY_SEED: '7' });
  expect(again.log.replaceAll(/^\S+ /gm, '')).toBe(log.replaceAll(/^\S+ /gm, ''));
});
