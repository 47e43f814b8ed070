import { shortened } from './escape-text.ts';

/** Output of a command: data on standard output, progress on standard error. */

const flushLength = 65_536;

/**
 * Resolves when the text is written. Not through `Bun.stdout`: once anything has looked at `process.stdout`, as pino does, a pipe is
 * non-blocking, and that one writes parts of a text twice when the pipe is full.
 */
const writeOut = (text: string) =>
  new Promise<void>((resolve, reject) =>
    process.stdout.write(text, (error) => (error ? reject(error) : resolve())),
  );

/** Buffered lines on standard output. Rejects with the code `EPIPE` when its reader has gone. */
export const createOutput = () => {
  let buffered = '';
  const flush = async () => {
    const text = buffered;
    buffered = '';
    if (text !== '') await writeOut(text);
  };
  return {
    async write(line: string) {
      buffered += `${line}\n`;
      if (buffered.length >= flushLength) await flush();
    },
    flush,
  };
};

/** The text as it fits a line of a terminal of `columns`: a longer one wraps, and then cannot be overwritten. */
export const fitted = (text: string, columns: number | undefined) =>
  columns === undefined || columns === 0 ? text : shortened(text, Math.max(2, columns - 1));

/** Time between two updates. */
const terminalIntervalMs = 200;
const pipeIntervalMs = 10_000;

/** Progress on standard error: on a terminal one line that is overwritten, elsewhere a new line every 10 s. */
export const createProgress = () => {
  const isTerminal = process.stderr.isTTY === true;
  let shownAt = performance.now();
  const clear = () => {
    if (isTerminal) process.stderr.write('\r\x1b[K');
  };
  return {
    show(text: string) {
      const now = performance.now();
      if (now - shownAt < (isTerminal ? terminalIntervalMs : pipeIntervalMs)) return;
      shownAt = now;
      process.stderr.write(isTerminal ? `\r\x1b[K${fitted(text, process.stderr.columns)}` : `${text}\n`);
    },
    /** Call it before writing to standard output: on a terminal both share a line. */
    clear,
    say(text: string) {
      clear();
      process.stderr.write(`${text}\n`);
    },
  };
};

export type Output = ReturnType<typeof createOutput>;
export type Progress = ReturnType<typeof createProgress>;
