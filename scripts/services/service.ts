/** A background program that outlives its starter and is found again by a record on disk. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Identity, identify, isRunning, signal, signalTree, until } from './processes.ts';

export type Program = {
  name: string;
  /** Folder of data, log and record, for this program only. */
  dir: string;
  cmd: string[];
  /** Additions to the environment. */
  env?: Record<string, string>;
  /** Runs as this user instead of root, with access to `dir` only as `/proc/self/fd/3`. */
  user?: { uid: number; gid: number } | undefined;
  /** Text in the log that shows that it is ready. */
  ready: string;
  stopSignal: NodeJS.Signals;
  /** Environment variables for clients. */
  gives: Record<string, string>;
};

type Running = Identity & Pick<Program, 'gives' | 'stopSignal'>;

const readyTimeoutMs = 60_000;
const stopTimeoutMs = 20_000;

const recordFile = (dir: string) => join(dir, 'process.json');

const readRecord = (dir: string): Running | undefined => {
  if (!existsSync(recordFile(dir))) return undefined;
  return JSON.parse(readFileSync(recordFile(dir), 'utf8')) as Running;
};

/** The record of the program in `dir`, if that process still runs. */
export const findRunning = (dir: string): Running | undefined => {
  const record = readRecord(dir);
  return record && isRunning(record) ? record : undefined;
};

/** Stops the program in `dir`, even if it is frozen, and waits for its end. Resolves with its pid if it ran. */
export const stopRunning = async (dir: string): Promise<number | undefined> => {
  const record = findRunning(dir);
  if (record) {
    signalTree(record, 'SIGCONT');
    signal(record, record.stopSignal);
    if (!(await until(() => !isRunning(record), stopTimeoutMs))) {
      signalTree(record, 'SIGKILL');
      await until(() => !isRunning(record), stopTimeoutMs);
    }
  }
  rmSync(recordFile(dir), { force: true });
  return record?.pid;
};

const launch = async ({ name, dir, cmd, env, user, ready, stopSignal, gives }: Program): Promise<Running> => {
  mkdirSync(dir, { recursive: true });
  const logFile = join(dir, 'log');
  const log = openSync(logFile, 'a');
  const directory = openSync(dir, 'r');
  const logged = statSync(logFile).size;
  const child = Bun.spawn(cmd, {
    cwd: '/',
    stdio: ['ignore', log, log, directory],
    env: { ...process.env, ...env },
    detached: true,
    ...user,
  });
  closeSync(log);
  closeSync(directory);
  child.unref();
  const identity = identify(child.pid);
  if (!identity) throw new Error(`${name} ended immediately; its log is ${logFile}`);
  const record = { ...identity, stopSignal, gives };
  writeFileSync(recordFile(dir), JSON.stringify(record));
  const output = () => readFileSync(logFile).subarray(logged).toString();
  await until(() => !isRunning(identity) || output().includes(ready), readyTimeoutMs);
  if (!isRunning(identity) || !output().includes(ready)) {
    const state = isRunning(identity)
      ? `was not ready after ${readyTimeoutMs / 1000} s`
      : 'ended while starting';
    await stopRunning(dir);
    throw new Error(
      `${name} ${state}; the end of ${logFile}:\n${output().trimEnd().split('\n').slice(-8).join('\n')}`,
    );
  }
  return record;
};

/** Starts the program in `dir`, or reuses the one that already runs there. It can be stopped, killed and started repeatedly. */
export const runService = async (program: Program) => {
  let record = findRunning(program.dir) ?? (await launch(program));
  return {
    gives: record.gives,
    get pid() {
      return record.pid;
    },
    running: () => isRunning(record),
    /** Starts it again, on the same port and data. */
    start: async () => {
      record = findRunning(program.dir) ?? (await launch(program));
    },
    /** Stops it in order, after 20 s by force. */
    stop: async () => {
      await stopRunning(program.dir);
    },
    /** SIGKILL to it and its children. */
    kill9: async () => {
      const killed = record;
      signalTree(killed, 'SIGKILL');
      await until(() => !isRunning(killed), stopTimeoutMs);
    },
    /** SIGSTOP to it and its children: connections stay open and nothing answers. */
    freeze: () => signalTree(record, 'SIGSTOP'),
    thaw: () => signalTree(record, 'SIGCONT'),
  };
};
export type Service = Awaited<ReturnType<typeof runService>>;
