import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPrograms } from '../../src/embedded/postgres/programs.ts';
import { createRunner, serverUser } from '../../src/embedded/postgres/runner.ts';
import { dataOf, isLinux, isRoot, useEmbeddedPostgres } from '../support/embedded-postgres.ts';
import { until } from '../support/until.ts';

const { newDir, start, failure } = useEmbeddedPostgres();

describe('a data directory that cannot be used is named in one line', () => {
  const stopped = async () => {
    const dataDir = newDir();
    await (await start(dataDir)).stop();
    return { dataDir, data: dataOf(dataDir) };
  };
  const oneLine = (dataDir: string, rest: RegExp) => async () => {
    const line = await failure(dataDir);
    expect(line).not.toContain('\n');
    expect(line).not.toContain('/proc/');
    expect(line).toStartWith("PostgreSQL's data directory ");
    expect(line).toContain(dataDir);
    expect(line).toMatch(rest);
  };

  test('when its version is garbage, missing, newer or older', async () => {
    const { dataDir, data } = await stopped();
    const file = join(data, 'PG_VERSION');
    writeFileSync(file, 'gar\u0000bage\n');
    await oneLine(
      dataDir,
      /PG_VERSION holds "gar\\u0000bage"\. Restore the directory from a backup, or move it away/,
    )();
    writeFileSync(file, '19\n');
    await oneLine(dataDir, /made by PostgreSQL 19, which is newer than the 18 that is here/)();
    writeFileSync(file, '9\n');
    await oneLine(dataDir, /made by PostgreSQL 9, which is older than the 18/)();
    rmSync(file);
    await oneLine(dataDir, /no file PG_VERSION/)();
  }, 60_000);

  test('when PostgreSQL itself finds it corrupt', async () => {
    const { dataDir, data } = await stopped();
    writeFileSync(join(data, 'global/pg_control'), Buffer.alloc(8192, 7));
    await oneLine(dataDir, /FATAL|PANIC/)();
    rmSync(join(data, 'global/pg_control'));
    await oneLine(dataDir, /could not open file|control file/)();
  }, 60_000);

  if (isLinux)
    test('when a PostgreSQL that another program started runs in it', async () => {
      const { dataDir, data } = await stopped();
      const home = join(dataDir, 'postgres');
      const runner = createRunner(home, serverUser(home));
      const { postgres: program } = await findPrograms(runner, { asRoot: isRoot, copyFolder: dataDir });
      const { port } = new URL((await start(newDir())).url);
      const settings = ['-p', port, '--listen_addresses=127.0.0.2', '--unix_socket_directories='];
      const other = runner.run([program, '-D', join(runner.place, 'data'), ...settings]);
      await until(() =>
        /ready/.test(
          existsSync(join(data, 'postmaster.pid')) ? readFileSync(join(data, 'postmaster.pid'), 'utf8') : '',
        ),
      );
      await oneLine(dataDir, new RegExp(`another PostgreSQL \\(pid ${other.pid}\\) runs in it`))();
      expect(other.exitCode).toBeNull();
      other.kill('SIGINT');
      await other.exited;
      await start(dataDir);
    }, 60_000);

  test('when a file is in its place', async () => {
    const dataDir = newDir();
    writeFileSync(dataDir, '');
    await oneLine(dataDir, /it is not a folder\. Name another in DATA_DIR/)();
  });
});
