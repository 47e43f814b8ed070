import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { reads } from '../../src/cli/reads.ts';
import { settings } from '../../src/config/settings.ts';

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

const commands = [
  ['producer', 'producer.ts', []],
  ['dead-letters', 'scripts/dead-letters.ts', ['list', 'show', 'find', 'redrive', 'discard']],
  ['replay', 'scripts/replay.ts', []],
  ['orders', 'scripts/orders.ts', []],
  ['migrate', 'scripts/migrate.ts', []],
] as const;

// That it reads no other is a matter of types: `execute` gets a configuration with these alone.
test.each(commands)(
  'the help of %s names its script, its exit status, and the settings that it reads, and no others',
  async (name, file, subcommands) => {
    const { output } = await run(file, '--help');
    expect(output).toStartWith(`Usage: bun run ${name} `);
    expect(output).toMatch(/\nExit status: 0 [^.]*\b2 if an\s+argument or the environment is wrong/);
    const expected = reads[name].map((setting) => settings[setting].variable).sort();
    for (const subcommand of [undefined, ...subcommands]) {
      const help = subcommand ? (await run(file, subcommand, '--help')).output : output;
      const [, environment = ''] = help.split('From the environment:');
      const named = environment.replace(/\([^)]*\)/g, '').match(/[A-Z][A-Z_]+/g) ?? [];
      expect({ subcommand, named: [...named].sort() }).toEqual({ subcommand, named: expected as string[] });
    }
  },
);

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
