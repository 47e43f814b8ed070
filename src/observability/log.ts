import pino from 'pino';
import pretty from 'pino-pretty';

/**
 * Logs to standard output, as JSON lines (pino escapes line breaks) or, on a terminal, as readable text. `part` names the part of
 * the program that logs; `more` returns further fields for each line, such as trace ids.
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
