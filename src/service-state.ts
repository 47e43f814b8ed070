import type { Log } from './log.ts';

/** What is known of a service that is needed: it works, or why it does not. */
export type ServiceState = ReturnType<typeof createServiceState>;

/** Follows a service, and logs when its state changes, and only then. */
export const createServiceState = (name: string, log: Log, changed: () => void = () => {}) => {
  let works: boolean | undefined;
  let reason: string | undefined;
  let since = Date.now();
  const set = (next: string | undefined) => {
    const before = works;
    reason = next;
    works = next === undefined;
    if (works === before) return;
    const seconds = Math.round((Date.now() - since) / 100) / 10;
    since = Date.now();
    if (!works) log.warn({ service: name, reason }, `${name} does not work; trying again until it does`);
    else if (before === false) log.info({ service: name, awaySeconds: seconds }, `${name} works again`);
    changed();
  };
  return {
    works: () => set(undefined),
    fails: (error: unknown) => set(oneLine(error)),
    /** Why it does not work; undefined while it does. */
    reason: () => reason,
  };
};

/** An error on one line, for a header or an answer to a person. */
export const oneLine = (error: unknown): string => {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const text = typeof message === 'string' && message ? message : String(code ?? error);
  return text.replace(/\s+/g, ' ').slice(0, 300);
};
