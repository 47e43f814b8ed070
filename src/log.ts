import pino from 'pino';

/**
 * Log lines as JSON on standard output, one line each: pino escapes what could break a line.
 * `part` names the part of the program that speaks.
 */
export const createLog = (level: string, part: string) =>
  pino({
    level,
    base: { part },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });

export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error'>;
