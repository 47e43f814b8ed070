import { afterAll, afterEach } from 'bun:test';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { startPostgres } from '../../src/embedded/postgres.ts';

export const isRoot = process.getuid?.() === 0;
/** Tests that inspect processes need /proc. */
export const isLinux = process.platform === 'linux';
export const nobody = 65534;
export const projectFolder = join(import.meta.dir, '../..');
export const runScript = join(import.meta.dir, 'embedded-postgres-run.ts');

/** A cluster has a thousand files, which a busy disk removes slowly. */
const hookTimeoutMs = 60_000;

export const createLog = () => {
  const lines: string[] = [];
  const keep = (line: string) => void lines.push(line);
  return { lines, debug() {}, isLevelEnabled: () => false, info: keep, warn: keep, error: keep };
};

export const query = async (url: string, text: string): Promise<object[]> => {
  const sql = postgres(url, { max: 1, onnotice() {}, connect_timeout: 5 });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end({ timeout: 1 });
  }
};

/** The data directory of the cluster. */
export const dataOf = (dataDir: string) => join(realpathSync(dataDir), 'postgres/data');

/** The fields of /proc/PID/stat after the name: the state, then numbers. */
export const statOf = (pid: number) =>
  readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];

export const kill9 = async (child: Bun.Subprocess) => {
  child.kill('SIGKILL');
  await child.exited;
};

type RunOptions = {
  project?: string;
  bun?: string;
  user?: { uid: number; gid: number };
  env?: Record<string, string>;
};

/** Helpers whose servers, processes and folders are removed after each test of the file that calls this. */
export const useEmbeddedPostgres = () => {
  const cleanups: (() => unknown)[] = [];
  /** Only its owner may enter it, so if that is root, the server's user may not. */
  const base = mkdtempSync(join(tmpdir(), 'embedded-postgres-'));
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  }, hookTimeoutMs);
  afterAll(() => rmSync(base, { recursive: true, force: true }), hookTimeoutMs);

  const newDir = (name = 'data') => {
    const folder = mkdtempSync(join(base, 'case-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, name);
  };

  const start = async (dataDir: string, log = createLog()) => {
    const server = await startPostgres({ dataDir, log });
    cleanups.push(server.stop);
    return server;
  };

  /** The message with which a start fails. */
  const failure = (dataDir: string): Promise<string> =>
    start(dataDir).then(
      () => 'it started',
      (error: Error) => error.message,
    );

  /** Starts PostgreSQL from a process of its own, which can then be killed. */
  const startElsewhere = async (
    dataDir: string,
    { project = projectFolder, bun = process.execPath, user, env }: RunOptions = {},
  ) => {
    const child = Bun.spawn([bun, runScript.replace(projectFolder, project), dataDir], {
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
    throw new Error('the process ended without a message');
  };

  return { newDir, start, failure, startElsewhere, cleanups };
};
