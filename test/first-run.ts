/** The README's first command, as a user types it who has only Node. It does not run with the other tests, as it needs Kafka's own port. */
import { expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './support/until.ts';

/** A clone in which nothing is installed shows more than this one. */
const root = process.env.FIRST_RUN_IN ?? join(import.meta.dir, '..');
const isFree = async (port: number) => {
  const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } }).catch(
    () => undefined,
  );
  socket?.end();
  return socket === undefined;
};
const processesOf = async (directory: string) =>
  (await new Response(Bun.spawn(['ps', '-eo', 'pid,args']).stdout).text())
    .split('\n')
    .filter((line) => line.includes(directory));

test('one command brings up the page with orders arriving; a second one reports that the port is taken and does not disturb it; Ctrl-C ends all of it', async () => {
  expect(await isFree(9092)).toBe(true);
  const dataDir = await mkdtemp(join(tmpdir(), 'first-run-'));
  const { KAFKA_BROKERS: _, DATABASE_URL: __, REDIS_URL: ___, ...environment } = process.env;
  const child = Bun.spawn(['npx', '--yes', 'bun@1.4.5', 'start'], {
    cwd: root,
    env: { ...environment, NODE_ENV: '', PORT: '0', DATA_DIR: dataDir },
    stdout: 'pipe',
    stderr: 'pipe',
    // A terminal's Ctrl-C goes to all processes of the group.
    detached: true,
  });
  let output = '';
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const part of stream as typeof stream & AsyncIterable<Uint8Array>)
      output += new TextDecoder().decode(part);
  };
  void read(child.stdout);
  void read(child.stderr);
  try {
    await until(() => /as JSON\s+\S+/.test(output) || child.exitCode !== null, 60_000).catch(() => {});
    const [, page] = /the page\s+(\S+)/.exec(output) ?? [];
    const [, order] = /as JSON\s+(\S+)/.exec(output) ?? [];
    expect(output).toContain('Order Lookup is running');
    expect((await fetch(order as string)).status).toBe(200);
    expect(await (await fetch(page as string)).text()).toContain('<form');

    const events = (await fetch(`${page}/events`)).body as ReadableStream<Uint8Array>;
    let seen = '';
    for await (const part of events as typeof events & AsyncIterable<Uint8Array>) {
      seen += new TextDecoder().decode(part);
      if (seen.split('data: ').length > 3) break;
    }

    const second = Bun.spawn([process.execPath, 'src/main.ts'], {
      cwd: root,
      env: { ...environment, PORT: '0', DATA_DIR: dataDir },
      stdout: 'ignore',
      stderr: 'pipe',
    });
    const said = (await new Response(second.stderr).text()).trim();
    expect(await second.exited).toBe(1);
    expect(said.split('\n')).toHaveLength(1);
    expect(said).toMatch(/9092|data|PostgreSQL/);
    expect((await fetch(order as string)).status).toBe(200);

    process.kill(-child.pid, 'SIGINT');
    await until(() => child.exitCode !== null || child.signalCode !== null, 30_000);
    await until(async () => (await processesOf(dataDir)).length === 0, 20_000);
  } catch (error) {
    console.error(output);
    process.kill(-child.pid, 'SIGKILL');
    throw error;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}, 120_000);
