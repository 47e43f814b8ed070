/** What a command says: data on standard output, how it goes on standard error. */

const flushAt = 65_536;

/** Lines on standard output. Rejects with a code of `EPIPE` when nobody reads them any more. */
export const createOutput = () => {
  let waiting = '';
  const flush = async () => {
    const text = waiting;
    waiting = '';
    if (text !== '') await Bun.write(Bun.stdout, text);
  };
  return {
    async write(line: string) {
      waiting += `${line}\n`;
      if (waiting.length >= flushAt) await flush();
    },
    flush,
  };
};

/** How often the line on a terminal is renewed, and how often a line is written elsewhere, in ms. */
const onTerminal = 200;
const elsewhere = 10_000;

/** One line on standard error that is renewed on a terminal; elsewhere a line now and then, for what takes long. */
export const createProgress = () => {
  const terminal = process.stderr.isTTY === true;
  let shownAt = performance.now();
  const clear = () => {
    if (terminal) process.stderr.write('\r\x1b[K');
  };
  return {
    show(text: string) {
      const now = performance.now();
      if (now - shownAt < (terminal ? onTerminal : elsewhere)) return;
      shownAt = now;
      process.stderr.write(terminal ? `\r\x1b[K${text}` : `${text}\n`);
    },
    /** Before other lines: on a terminal they would stand behind it. */
    clear,
    say(text: string) {
      clear();
      process.stderr.write(`${text}\n`);
    },
  };
};

export type Output = ReturnType<typeof createOutput>;
export type Progress = ReturnType<typeof createProgress>;
