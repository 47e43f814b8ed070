import type { Log } from './log.ts';

/** As `log`, but a warning with the same fields is logged once only. */
export const warnOnce = (log: Log): Log => {
  const logged = new Set<string>();
  return Object.assign(Object.create(log) as Log, {
    warn(fields: object, text: string) {
      const key = JSON.stringify([fields, text]);
      if (logged.has(key)) return;
      logged.add(key);
      log.warn(fields, text);
    },
  });
};
