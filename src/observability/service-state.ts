import { reasonOf } from './error-reason.ts';
import type { Log } from './log.ts';

/** What is known of a service that is needed: it works, or why it does not. */
export type ServiceState = ReturnType<typeof createServiceState>;

type Options = {
  changed?: () => void;
  /** The reason as long as nothing is known of it yet. */
  initialReason?: string;
  /** Asked every second while the service does not work, so that its return is known when it returns, and not when it is next needed. */
  probe?: () => Promise<unknown>;
};

const askEvery = 1_000;

/**
 * Follows a service, and logs when its state changes, and each new reason once. The log has the driver's own words as well;
 * the reason is for anybody. What `ask` resolves with says nothing: whoever answers it calls `works`.
 */
export const createServiceState = (
  name: string,
  log: Log,
  { changed = () => {}, initialReason: untilKnown, probe: ask }: Options = {},
) => {
  let isUp: boolean | undefined;
  let reason: string | undefined = untilKnown;
  let since = Date.now();
  /** Reasons of this time of being away. */
  const said = new Set<string>();
  let asking: Timer | undefined;
  let closed = false;
  const askAgain = () => {
    if (!ask || asking || closed) return;
    asking = setTimeout(async () => {
      await ask().catch(() => {}); // Whoever is asked reports the failure.
      asking = undefined;
      if (isUp === false) askAgain();
    }, askEvery);
  };
  return {
    markUp() {
      if (isUp) return;
      const awaySeconds = Math.round((Date.now() - since) / 100) / 10;
      if (isUp === false) log.info({ service: name, awaySeconds }, `${name} works again`);
      isUp = true;
      reason = undefined;
      said.clear();
      changed();
    },
    markDown(error: unknown) {
      const before = reason;
      reason = reasonOf(error);
      const details = { service: name, reason, error: oneLine(error) };
      if (isUp !== false) log.warn(details, `${name} does not work; trying again until it does`);
      else if (!said.has(reason)) log.info(details, `${name} still does not work`);
      if (isUp !== false) since = Date.now();
      isUp = false;
      askAgain();
      said.add(reason);
      if (reason !== before) changed();
    },
    /** Why it does not work, for anybody to read; undefined while it does. */
    reason: () => reason,
    /** Asks no more. */
    close() {
      closed = true;
      clearTimeout(asking);
    },
  };
};

/** An error on one line, for a header or the log. */
export const oneLine = (error: unknown): string => {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const text = typeof message === 'string' && message ? message : String(code ?? error);
  return text.slice(0, 3_000).replace(/\s+/g, ' ').slice(0, 300);
};
