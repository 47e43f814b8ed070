import { afterEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureDataDir } from '../../src/embedded/data-dir.ts';
import { takeLock } from '../../src/embedded/lock.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { ensurePrivateFile, readFileStart, writePrivateFile } from '../../src/embedded/private-files.ts';
import { silent } from '../support/database.ts';
import { startProgram } from '../support/program.ts';

/** What another account of the machine may have put in the way; it is user 65533 here. */
const stranger = 65_533;
const isRoot = process.getuid?.() === 0;

const folders: string[] = [];
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'shared-machine-'));
  folders.push(folder);
  return folder;
};
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8);
const pipe = (path: string) => Bun.spawnSync(['mkfifo', path]);
const asStranger = (...command: string[]) =>
  Bun.spawnSync(['setpriv', `--reuid=${stranger}`, `--regid=${stranger}`, '--clear-groups', ...command]);

describe('a file is read only if it is one', () => {
  const traps: [string, (path: string) => unknown, string][] = [
    ['a pipe', pipe, 'is not a file: remove it'],
    ['a link', (path) => symlinkSync('/etc/passwd', path), 'is a link: remove it'],
    ['a link to nothing', (path) => symlinkSync('/nowhere', path), 'is a link: remove it'],
    ['a second name', (path) => linkSync(`${path}.other`, path), 'is a link: remove it'],
    ['a folder', (path) => mkdirSync(path), 'is not a file: remove it'],
  ];
  for (const [name, set, message] of traps)
    test(name, () => {
      const path = join(newFolder(), 'file');
      writeFileSync(`${path}.other`, 'of another');
      set(path);
      expect(() => readFileStart(path, 100)).toThrow(`${path} ${message}`);
      expect(() => ensurePrivateFile(path)).toThrow(`${path} ${message}`);
      expect(() => takeLock(path)).toThrow(message);
    });

  test('and then its beginning only', () => {
    const path = join(newFolder(), 'file');
    expect(readFileStart(path, 4)).toBeUndefined();
    writePrivateFile(path, 'a long text');
    expect(readFileStart(path, 6)).toBe('a long');
    expect(modeOf(path)).toBe('600');
  });

  test('writing a private file replaces whatever has its name', () => {
    const folder = newFolder();
    const path = join(folder, 'file');
    writeFileSync(join(folder, 'other'), 'of another');
    symlinkSync(join(folder, 'other'), path);
    writePrivateFile(path, 'ours');
    expect(lstatSync(path).isFile()).toBe(true);
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('of another');
  });
});

describe('the data directory', () => {
  test('is created for its owner only, and closed if it is ours', () => {
    const folder = newFolder();
    const fresh = join(folder, 'a/.data');
    ensureDataDir(fresh);
    expect(modeOf(fresh)).toBe('700');
    chmodSync(fresh, 0o755);
    mkdirSync(join(fresh, 'postgres'));
    ensureDataDir(fresh);
    expect(modeOf(fresh)).toBe('700');
  });

  test('keeps its permissions if it has other contents', () => {
    const folder = newFolder();
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'another'), '');
    ensureDataDir(folder);
    expect(modeOf(folder)).toBe('755');
  });

  test('is rejected if others can write to it', () => {
    const folder = newFolder();
    for (const mode of [0o777, 0o1777, 0o775]) {
      chmodSync(folder, mode);
      expect(() => ensureDataDir(folder)).toThrow('other users can write to it');
    }
  });

  test('cannot be locked by others, who cannot read the file', () => {
    const path = join(newFolder(), 'lock');
    writeFileSync(path, '', { mode: 0o644 });
    takeLock(path)?.release();
    expect(modeOf(path)).toBe('600');
  });
});

describe.skipIf(!isRoot)('as root', () => {
  const failure = (dataDir: string) =>
    startPostgres({ dataDir, log: silent }).then(
      async (server) => {
        await server.stop();
        return 'it started';
      },
      (error: Error) => error.message,
    );

  /** A data directory in which PostgreSQL has run, whose files are of another user. */
  const used = async () => {
    const dataDir = join(newFolder(), '.data');
    expect(await failure(dataDir)).toBe('it started');
    return dataDir;
  };

  test("links and pipes of the server's user are neither followed nor waited for", async () => {
    const dataDir = await used();
    const secret = join(newFolder(), 'secret');
    writeFileSync(secret, 'S3CRET\n');
    for (const name of ['PG_VERSION', 'postmaster.pid', 'postmaster.opts']) {
      const path = join(dataDir, 'postgres/data', name);
      const before = existsSync(path) ? readFileSync(path) : undefined;
      for (const trap of [pipe, (at: string) => symlinkSync(secret, at)]) {
        rmSync(path, { force: true });
        trap(path);
        const message = await failure(dataDir);
        expect(message).not.toContain('S3CRET');
        // The options are of no interest unless a server runs.
        if (name !== 'postmaster.opts') expect(message).toContain(`${path} is `);
      }
      rmSync(path, { force: true });
      if (before) writeFileSync(path, before);
    }
  }, 120_000);

  test('a link in place of a folder is not given to another user', async () => {
    const dataDir = newFolder();
    const other = newFolder();
    symlinkSync(other, join(dataDir, 'postgres'));
    expect(await failure(dataDir)).toContain('it is not a folder');
    expect(lstatSync(other).uid).toBe(0);
  });

  test('the remains of an interrupted start are removed, and nothing that they link to', async () => {
    const dataDir = await used();
    const other = newFolder();
    writeFileSync(join(other, 'kept'), '');
    const left = join(dataDir, 'postgres/unfinished-x');
    mkdirSync(left);
    symlinkSync(other, join(left, 'link'));
    chownSync(left, 65_534, 65_534);
    expect(await failure(dataDir)).toBe('it started');
    expect(existsSync(left)).toBe(false);
    expect(existsSync(join(other, 'kept'))).toBe(true);
  }, 60_000);

  test('another account can neither enter, nor lock, nor stop the program by planted files', async () => {
    const parent = newFolder();
    chmodSync(parent, 0o1777);
    const dataDir = join(parent, '.data');
    await using program = startProgram({ DATA_DIR: dataDir, SERVE: 'http', KAFKA_BROKERS: '127.0.0.1:1' });
    await program.said('listening', 90_000);
    for (const path of ['', 'postgres', 'postgres.lock', 'postgres.url', 'postgres/data/PG_VERSION'])
      expect(asStranger('ls', join(dataDir, path)).exitCode).not.toBe(0);
    expect(asStranger('touch', join(dataDir, 'x')).exitCode).not.toBe(0);
    expect(asStranger('flock', '-n', join(dataDir, 'postgres.lock'), 'true').exitCode).not.toBe(0);
    expect(modeOf(join(dataDir, 'postgres.lock'))).toBe('600');
    expect(modeOf(join(dataDir, 'postgres.url'))).toBe('600');
    const { status } = await program.stop('SIGINT');
    expect(status).toBe(0);
    // The account was there before us.
    const planted = join(parent, 'planted');
    expect(asStranger('mkdir', '-m', '777', planted).exitCode).toBe(0);
    expect(await failure(planted)).toContain('other users can write to it');
  }, 150_000);
});
