import { reasonOf } from '../observability/error-reason.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';

/** How long commits have to fail before it is reported: a coordinator that moves is found again sooner. */
const reportAfterMs = 10_000;
/** After this time without an attempt nothing is left to commit: an attempt takes up to 5 s, and so does finding the coordinator. */
const attemptTimeoutMs = 20_000;

/** Follows whether offsets can be committed to Kafka. No order is lost while they cannot, but the group seems to lag. */
export const createCommitState = (log: Log, changed: () => void) => {
  let failingSince: number | undefined;
  let reason: string | undefined;
  let attemptTimer: Timer | undefined;

  const reset = () => {
    clearTimeout(attemptTimer);
    failingSince = undefined;
    if (reason === undefined) return;
    reason = undefined;
    changed();
  };
  const failingSeconds = () => (failingSince === undefined ? 0 : (performance.now() - failingSince) / 1000);

  return {
    succeeded() {
      if (reason !== undefined)
        log.info({ failedForSeconds: Math.round(failingSeconds()) }, 'offsets are committed again');
      reset();
    },
    failed(error: unknown) {
      failingSince ??= performance.now();
      clearTimeout(attemptTimer);
      attemptTimer = setTimeout(reset, attemptTimeoutMs);
      if (reason !== undefined || performance.now() - failingSince < reportAfterMs) return;
      reason = `offsets cannot be committed: ${reasonOf(error)}`;
      log.warn(
        { failingForSeconds: Math.round(failingSeconds()), error: errorText(error) },
        'offsets cannot be committed; trying again until they can',
      );
      changed();
    },
    /** For how long no offset could be committed; 0 while they can. */
    failingSeconds,
    /** Why offsets cannot be committed; undefined until it is reported. */
    reason: () => reason,
  };
};

export type CommitState = ReturnType<typeof createCommitState>;
