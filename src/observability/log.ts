import pino from 'pino';
import pretty from 'pino-pretty';

/**
 * Log lines on standard output: JSON, one line each, as pino escapes what could break a line; on a terminal the same for
 * people. `part` names the part of the program that speaks; `more` is asked what each line says besides.
 */
export const createLog = (level: string, part: string, more?: () => object) => {
  const options = {
    level,
    base: { part },
    ...(more && { mixin: more }),
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!process.stdout.isTTY) return pino(options);
  const terminal = pretty({
    ignore: 'part',
    messageFormat: '{part}: {msg}',
    translateTime: 'HH:MM:ss',
    singleLine: true,
    sync: true,
  });
  return pino(options, terminal);
};

export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error' | 'isLevelEnabled'>;
