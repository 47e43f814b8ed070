import { reasonOf } from './error-reason.ts';
import { errorText } from './error-text.ts';
import type { Log } from './log.ts';

/** Whether a service is available and, if not, why. */
export type ServiceState = ReturnType<typeof createServiceState>;

type Options = {
  /** Called when the state or the reason changes. */
  changed?: () => void;
  /** The reason until the first `markUp` or `markDown`. */
  initialReason?: string;
  /**
   * Called every second while the service is down, so that its return is noticed at once and not with the next request. It has
   * to call `markUp` or `markDown` itself.
   */
  probe?: () => Promise<unknown>;
};

const probeIntervalMs = 1_000;

/**
 * Tracks a service and logs when it becomes available or unavailable, and each new reason once. The log has the driver's own
 * message; `reason()` contains nothing secret.
 */
export const createServiceState = (
  name: string,
  log: Log,
  { changed = () => {}, initialReason, probe }: Options = {},
) => {
  let isUp: boolean | undefined;
  let reason: string | undefined = initialReason;
  let lastError: unknown;
  let downSince = performance.now();
  /** Reasons already logged in this outage. */
  const loggedReasons = new Set<string>();
  let probeTimer: Timer | undefined;
  let isClosed = false;
  const scheduleProbe = () => {
    if (!probe || probeTimer || isClosed) return;
    probeTimer = setTimeout(async () => {
      await probe().catch(() => {}); // It reports failures by markDown.
      probeTimer = undefined;
      if (isUp === false) scheduleProbe();
    }, probeIntervalMs);
  };
  return {
    markUp() {
      if (isUp) return;
      const unavailableSeconds = Math.round((performance.now() - downSince) / 100) / 10;
      if (isUp === false) log.info({ service: name, unavailableSeconds }, `${name} is available again`);
      isUp = true;
      reason = undefined;
      lastError = undefined;
      loggedReasons.clear();
      changed();
    },
    markDown(error: unknown) {
      const previousReason = reason;
      reason = reasonOf(error);
      lastError = error;
      const details = { service: name, reason, error: errorText(error) };
      if (isUp !== false) log.warn(details, `${name} is unavailable; retrying`);
      else if (!loggedReasons.has(reason)) log.info(details, `${name} is still unavailable`);
      if (isUp !== false) downSince = performance.now();
      isUp = false;
      scheduleProbe();
      loggedReasons.add(reason);
      if (reason !== previousReason) changed();
    },
    /** Why the service is unavailable, without hosts or users; undefined while it is available. */
    reason: () => reason,
    /** The last error; undefined while the service is available. */
    error: () => lastError,
    /** Stops probing. */
    close() {
      isClosed = true;
      clearTimeout(probeTimer);
    },
  };
};
