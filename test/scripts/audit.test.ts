import { expect, test } from 'bun:test';
import { join } from 'node:path';

/** `bun run audit` with a registry that answers so. */
const audit = async (answer: (names: string[]) => Response) => {
  using registry = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) =>
      answer(Object.keys(JSON.parse(String(Buffer.from(Bun.gunzipSync(await request.bytes())))))),
  });
  const child = Bun.spawn([process.execPath, 'scripts/audit.ts'], {
    cwd: join(import.meta.dir, '../..'),
    env: { PATH: process.env.PATH ?? '', BUN_CONFIG_REGISTRY: registry.url.href },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const output = await new Response(child.stdout).text();
  return { status: await child.exited, output };
};

test('packages without advisories pass', async () => {
  expect(await audit(() => Response.json({}))).toEqual({ status: 0, output: 'No known vulnerabilities.\n' });
});

test('a vulnerable package fails the audit, and is named', async () => {
  const advisory = {
    id: 1,
    url: 'https://example.org/advisory',
    title: 'Reads what it should not',
    severity: 'high',
    vulnerable_versions: '<999',
  };
  const { status, output } = await audit(() => Response.json({ kafkajs: [advisory] }));
  expect(status).toBe(1);
  expect(output).toContain('kafkajs: high: Reads what it should not https://example.org/advisory');
});

test('a registry without audits is neither success nor failure: nothing was checked', async () => {
  const { status, output } = await audit(() => new Response('no', { status: 405 }));
  expect(status).toBe(3);
  expect(output).toEndWith('NOTHING WAS checked for known vulnerabilities.\n');
});

test('nor is a registry that answers for production dependencies only', async () => {
  const { status, output } = await audit((names) =>
    names.includes('@biomejs/biome') ? new Response('no', { status: 500 }) : Response.json({}),
  );
  expect(status).toBe(3);
  expect(output).toEndWith('The tools were not checked for known vulnerabilities.\n');
});
