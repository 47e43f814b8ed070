import { describe, expect, test } from 'bun:test';
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { processesIn } from '../../src/embedded/postgres/left-over.ts';
import {
  createLog,
  dataOf,
  isLinux,
  isRoot,
  kill9,
  nobody,
  query,
  useEmbeddedPostgres,
} from '../support/embedded-postgres.ts';
import { until } from '../support/until.ts';

const { newDir, start, startElsewhere, cleanups } = useEmbeddedPostgres();

if (isLinux)
  describe('after kill -9', () => {
    test('of all processes, acknowledged data is kept', async () => {
      const dataDir = newDir();
      const { child, url } = await startElsewhere(dataDir);
      await query(url, 'create table kept as select 7 as n');
      for (const pid of processesIn(dataOf(dataDir))) process.kill(pid, 'SIGKILL');
      await kill9(child);
      await until(() => processesIn(dataOf(dataDir)).length === 0);
      expect(existsSync(join(dataOf(dataDir), 'postmaster.pid'))).toBe(true);
      expect(await query((await start(dataDir)).url, 'select n from kept')).toEqual([{ n: 7 }]);
    }, 60_000);

    test('of the program alone, PostgreSQL shuts down by itself', async () => {
      const dataDir = newDir();
      const { child } = await startElsewhere(dataDir);
      await kill9(child);
      await until(() => processesIn(dataOf(dataDir)).length === 0);
      expect(existsSync(join(dataOf(dataDir), 'postmaster.pid'))).toBe(false);
    }, 60_000);

    test('of the program alone, without setpriv, the next start shuts the old server down', async () => {
      const dataDir = newDir();
      const { child, url, pid } = await startElsewhere(dataDir, { env: { PATH: '/nonexistent' } });
      await kill9(child);
      expect(await query(url, 'create table kept as select 7 as n')).toEqual([]);
      const log = createLog();
      const next = await start(dataDir, log);
      expect(log.lines.join('\n')).toContain(`stopping a PostgreSQL (pid ${pid}) whose process was killed`);
      expect(next.pid).not.toBe(pid);
      expect(processesIn(dataOf(dataDir))).not.toContain(pid);
      expect(await query(next.url, 'select n from kept')).toEqual([{ n: 7 }]);
    }, 60_000);

    test('orphaned processes of the server are killed, which frees its shared memory', async () => {
      const dataDir = newDir();
      const { child, pid, url } = await startElsewhere(dataDir);
      const data = dataOf(dataDir);
      await query(url, 'create table kept as select 7 as n');
      const orphan = processesIn(data).find((process_) => process_ !== pid) as number;
      process.kill(orphan, 'SIGSTOP');
      process.kill(pid, 'SIGKILL');
      await kill9(child);
      await until(() => processesIn(data).length === 1);
      expect(processesIn(data)).toEqual([orphan]);
      const log = createLog();
      const next = await start(dataDir, log);
      expect(log.lines.join('\n')).toContain('killing 1 orphaned processes');
      expect(processesIn(data)).not.toContain(orphan);
      expect(await query(next.url, 'select n from kept')).toEqual([{ n: 7 }]);
    }, 60_000);

    test('another program that reuses the pid of the dead server is not mistaken for it', async () => {
      const dataDir = newDir();
      await (await start(dataDir)).stop();
      const other = Bun.spawn(['sleep', '60'], isRoot ? { uid: nobody, gid: nobody } : {});
      cleanups.push(() => other.kill());
      const file = join(dataOf(dataDir), 'postmaster.pid');
      writeFileSync(file, `${other.pid}\n/data\n1790000000\n5432\n\n127.0.0.1\n\nready\n`);
      await start(dataDir);
      expect(other.killed).toBe(false);
    }, 60_000);

    test('the remains of an interrupted first start are removed', async () => {
      const dataDir = newDir();
      const half = join(dataDir, 'postgres/unfinished-1');
      mkdirSync(half, { recursive: true });
      writeFileSync(join(half, 'PG_VERSION'), '18\n');
      if (isRoot) for (const path of [half, dirname(half)]) chownSync(path, nobody, nobody);
      await start(dataDir);
      expect(readdirSync(join(dataDir, 'postgres'))).toEqual(['data']);
    }, 60_000);
  });
