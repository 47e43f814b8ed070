import type { Log } from '../../src/observability/log.ts';
import { silent } from './database.ts';

export type LogLine = { level: 'info' | 'warn' | 'error'; text: string; fields: Record<string, unknown> };

/** A log that keeps its lines, except those for debugging. */
export const recordingLog = () => {
  const lines: LogLine[] = [];
  const record = (level: LogLine['level']) => (given: Record<string, unknown> | string, text?: string) =>
    void lines.push(
      typeof given === 'string'
        ? { level, text: given, fields: {} }
        : { level, text: text ?? '', fields: given },
    );
  const levels = { info: record('info'), warn: record('warn'), error: record('error') };
  return {
    log: { ...silent, debug() {}, ...levels } as unknown as Log,
    lines,
    texts: () => lines.map(({ text }) => text),
    levels: () => lines.map(({ level }) => level),
  };
};
