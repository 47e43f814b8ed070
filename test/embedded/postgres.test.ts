import { describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { takeLock } from '../../src/embedded/lock.ts';
import { processesIn } from '../../src/embedded/postgres/left-over.ts';
import { dataOf, isLinux, query, statOf, useEmbeddedPostgres } from '../support/embedded-postgres.ts';

const { newDir, start, failure, startElsewhere } = useEmbeddedPostgres();

describe('embedded PostgreSQL', () => {
  test('data and password are kept over a restart', async () => {
    const dataDir = newDir();
    const first = await start(dataDir);
    await query(first.url, 'create table kept as select 7 as n');
    await first.stop();
    expect(await first.ended).toMatchObject({ code: 0, asked: true });
    expect(processesIn(dataOf(dataDir))).toEqual([]);
    const second = await start(dataDir);
    expect(await query(second.url, 'select n from kept')).toEqual([{ n: 7 }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
  }, 60_000);

  test('it loses nothing acknowledged, keeps UTF-8, and listens on 127.0.0.1 only', async () => {
    const { url } = await start(newDir());
    const names = ['fsync', 'synchronous_commit', 'full_page_writes', 'server_encoding', 'listen_addresses'];
    const values = await query(url, `select ${names.map((name) => `current_setting('${name}') as ${name}`)}`);
    expect(values).toEqual([
      {
        fsync: 'on',
        synchronous_commit: 'on',
        full_page_writes: 'on',
        server_encoding: 'UTF8',
        listen_addresses: '127.0.0.1',
      },
    ]);
    expect(await query(url, 'show unix_socket_directories')).toEqual([{ unix_socket_directories: '' }]);
    expect(await query(url, "select lower('ЗАКАЗ') as word, 'a' > 'B' as by_code")).toEqual([
      { word: 'заказ', by_code: true },
    ]);
  }, 60_000);

  test('connections need the password, which only its owner can read', async () => {
    const dataDir = newDir();
    const { url } = await start(dataDir);
    const wrong = new URL(url);
    wrong.password = 'wrong';
    expect(query(wrong.href, 'select 1')).rejects.toThrow('password authentication failed');
    const file = join(dataDir, 'postgres.url');
    expect(readFileSync(file, 'utf8')).toBe(`${url}\n`);
    expect(lstatSync(file).mode & 0o777).toBe(0o600);
    expect(lstatSync(join(dataDir, 'postgres')).mode & 0o777).toBe(0o700);
  }, 60_000);

  test('a lost password is replaced by a new one', async () => {
    const dataDir = newDir();
    const first = await start(dataDir);
    await first.stop();
    rmSync(join(dataDir, 'postgres.url'));
    const second = await start(dataDir);
    expect(new URL(second.url).password).not.toBe(new URL(first.url).password);
    expect(await query(second.url, 'select 1 as n')).toEqual([{ n: 1 }]);
  }, 60_000);

  test('after the data was moved away, an empty one starts with a new password', async () => {
    const dataDir = newDir();
    const first = await start(dataDir);
    await first.stop();
    renameSync(dataOf(dataDir), join(dataDir, 'moved'));
    const second = await start(dataDir);
    expect(await query(second.url, 'select 1 as n')).toEqual([{ n: 1 }]);
  }, 60_000);

  test('a second start in the same directory fails with one line and does not affect the first', async () => {
    const dataDir = newDir();
    const first = await start(dataDir);
    const line = `PostgreSQL's data directory ${join(dataDir, 'postgres')} cannot be used: another run of this program is using it. Stop that first, or name another in DATA_DIR.`;
    expect(await failure(dataDir)).toBe(line);
    expect((await startElsewhere(dataDir)).error).toBe(line);
    expect(await query(first.url, 'select 1 as n')).toEqual([{ n: 1 }]);
    const { url: other } = await start(newDir());
    expect(await query(other, 'select 1 as n')).toEqual([{ n: 1 }]);
  }, 60_000);

  test('of two first starts at once one succeeds and the other names the reason', async () => {
    const dataDir = newDir();
    mkdirSync(dataDir);
    const runs = await Promise.all([startElsewhere(dataDir), startElsewhere(dataDir)]);
    expect(runs.filter((run) => run.error?.includes('another run of this program'))).toHaveLength(1);
    const winner = runs.find((run) => run.url);
    expect(await query(winner?.url ?? '', 'select 1 as n')).toEqual([{ n: 1 }]);
  }, 60_000);

  test('an unexpected end is reported, and the directory is free again', async () => {
    const dataDir = newDir();
    const server = await start(dataDir);
    process.kill(server.pid, 'SIGQUIT');
    expect(await server.ended).toMatchObject({
      code: 0,
      asked: false,
      lastLine: expect.stringContaining('shut down'),
    });
    await start(dataDir);
  }, 60_000);

  test('a stop does not wait for open connections, and a frozen server is killed', async () => {
    const dataDir = newDir();
    const busy = await start(dataDir);
    const sql = postgres(busy.url, { max: 1, onclose() {} });
    const sleeping = sql`select pg_sleep(60)`.execute().catch((error: Error) => error.message);
    const active = "select 1 from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()";
    while ((await query(busy.url, active)).length === 0);
    const began = performance.now();
    await busy.stop();
    expect(performance.now() - began).toBeLessThan(5000);
    expect(await sleeping).toMatch(/terminat|closed/i);
    await sql.end({ timeout: 0 });

    const frozen = await start(dataDir);
    await query(frozen.url, 'create table kept as select 7 as n');
    for (const pid of processesIn(dataOf(dataDir))) process.kill(pid, 'SIGSTOP');
    await frozen.stop();
    expect(processesIn(dataOf(dataDir))).toEqual([]);
    expect(await query((await start(dataDir)).url, 'select n from kept')).toEqual([{ n: 7 }]);
  }, 60_000);

  if (isLinux)
    test('it runs in its own session, which Ctrl-C does not reach', async () => {
      const { pid } = await start(newDir());
      expect(Number(statOf(pid)[3])).toBe(pid);
    }, 60_000);
});

test('a lock has one holder, and is free when released', () => {
  const file = newDir('lock');
  const first = takeLock(file);
  expect(takeLock(file)).toBeUndefined();
  first?.release();
  const second = takeLock(file);
  expect(second).toBeDefined();
  second?.release();
});
