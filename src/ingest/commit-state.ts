import { reasonOf } from '../observability/error-reason.ts';
import { errorText } from '../observability/error-text.ts';
import type { Log } from '../observability/log.ts';

/** Failures are reported once they have gone on for so long, in ms: a coordinator that moves is found again sooner. */
const reportedAfter = 10_000;
/** Without an attempt for so long, in ms, nothing waits to be committed: an attempt may take 5 s, and finding the coordinator as long. */
const attemptedEvery = 20_000;

/** Follows whether offsets can be committed to Kafka. What is stored is safe either way; but the group seems to lag. */
export const createCommitState = (log: Log, changed: () => void) => {
  let failingSince: number | undefined;
  let reason: string | undefined;
  let quiet: Timer | undefined;

  const end = () => {
    clearTimeout(quiet);
    failingSince = undefined;
    if (reason === undefined) return;
    reason = undefined;
    changed();
  };
  const failingSeconds = () => (failingSince === undefined ? 0 : (Date.now() - failingSince) / 1000);

  return {
    succeeded() {
      if (reason !== undefined)
        log.info({ failedForSeconds: Math.round(failingSeconds()) }, 'offsets are committed again');
      end();
    },
    failed(error: unknown) {
      failingSince ??= Date.now();
      clearTimeout(quiet);
      quiet = setTimeout(end, attemptedEvery);
      if (reason !== undefined || Date.now() - failingSince < reportedAfter) return;
      reason = `offsets cannot be committed: ${reasonOf(error)}`;
      log.warn(
        { failingForSeconds: Math.round(failingSeconds()), error: errorText(error) },
        'offsets cannot be committed; trying again until they can',
      );
      changed();
    },
    /** For how long no offset could be committed; 0 while they can. */
    failingSeconds,
    /** Why offsets cannot be committed, once that has been reported. */
    reason: () => reason,
  };
};

export type CommitState = ReturnType<typeof createCommitState>;
