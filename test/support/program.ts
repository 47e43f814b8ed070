import { join } from 'node:path';
import { until } from './until.ts';

const root = join(import.meta.dir, '../..');

type Line = { level: string; msg: string; part: string } & Record<string, unknown>;

export type Program = ReturnType<typeof startProgram>;

/** `bun src/main.ts`, or another file, with nothing of our own configuration but what is given. */
export const startProgram = (environment: Record<string, string>, command = ['src/main.ts']) => {
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: root,
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      PORT: '0',
      STOP_DELAY: '0',
      ...environment,
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  let output = '';
  let errors = '';
  const read = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
    const decoder = new TextDecoder();
    for await (const part of stream as typeof stream & AsyncIterable<Uint8Array>)
      add(decoder.decode(part, { stream: true }));
  };
  const reading = Promise.all([
    read(child.stdout, (text) => {
      output += text;
    }),
    read(child.stderr, (text) => {
      errors += text;
    }),
  ]);
  const lines = (): Line[] =>
    output
      .split('\n')
      .flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line)] : []));
  /** Lines of the log that are worse than information. */
  const complaints = () => lines().filter(({ level }) => level !== 'info');
  const ended = async () => {
    const status = await child.exited;
    await reading;
    return { status, output, errors };
  };
  const said = (text: string) => lines().find(({ msg }) => msg.includes(text));
  return {
    pid: child.pid,
    lines,
    complaints,
    /** Those but that a service has not answered in time, which it does now and then on a busy machine. */
    faults: () => complaints().filter(({ reason }) => !String(reason).startsWith('no answer in time')),
    output: () => output,
    said: async (text: string, ms?: number) =>
      until(() => {
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}:\n${output}\n${errors}`);
        return said(text);
      }, ms),
    async url() {
      const line = await this.said('listening', 30_000);
      return String(line.url).replace('localhost', '127.0.0.1');
    },
    ended,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Resolves with how it ended, and how long that took, in ms. */
    async stop(signal: NodeJS.Signals) {
      const begun = performance.now();
      child.kill(signal);
      return { ...(await ended()), took: performance.now() - begun };
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
};
