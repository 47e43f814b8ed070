import { join } from 'node:path';
import { testWith } from './test-with.ts';

export const testPromtool = testWith(
  Bun.which('promtool') !== null,
  'promtool (Debian has it in prometheus)',
);

/** What promtool has to say when it finds a fault; nothing while all is well. */
export const promtool = async (args: string[], input = ''): Promise<string> => {
  const child = Bun.spawn(['promtool', ...args], {
    cwd: join(import.meta.dir, '../..'),
    stdin: new Blob([input]),
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  const [said, errors] = await Promise.all(texts);
  return (await child.exited) === 0 ? '' : `${said}${errors}`;
};
