/** A command of the repository as a process, with no environment but PATH and what is given. */
import { join } from 'node:path';

const root = join(import.meta.dir, '../..');

export const runScript = async (
  script: string,
  args: string[],
  environment: Record<string, string | undefined>,
) => {
  const child = Bun.spawn([process.execPath, script, ...args], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', ...environment },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [code, output, errors] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, output, errors };
};
