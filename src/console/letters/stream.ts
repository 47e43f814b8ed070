import type { ChangeOutcome, Progress } from '../../dead-letters/operations.ts';
import type { Log } from '../../observability/log.ts';
import { logUse } from '../use-log.ts';

/** How a change ended. `counts`: as far as it came. */
export type Ending =
  | { state: 'done'; outcome: ChangeOutcome }
  | { state: 'failed'; isUnavailable: boolean; counts: Progress };

type Options = {
  run: (run: { onProgress: (progress: Progress) => void; signal: AbortSignal }) => Promise<ChangeOutcome>;
  isUnavailable: (error: unknown) => boolean;
  /** The text that reports each step. */
  toText: { start: string; progress: (progress: Progress) => string; end: (ending: Ending) => string };
  /** Who does what, for the log. */
  audit: { operator: string; action: string; isDry: boolean };
  log: Log;
};

/** Shorter than the idle time after which proxies close a connection. */
const reportIntervalMs = 1_000;

/**
 * Runs a change of letters and reports on it, as a stream. To cancel it is to close the connection: so any replica can do it, and none
 * keeps a list of what runs.
 */
export const streamChange = ({
  run,
  isUnavailable,
  toText,
  audit,
  log,
}: Options): ReadableStream<Uint8Array> => {
  const utf8 = new TextEncoder();
  const cancel = new AbortController();
  let latest: Progress = { read: 0, done: 0, skipped: 0 };

  const audited = (state: string) => {
    const { done, skipped } = latest;
    const { operator, action, isDry } = audit;
    logUse(log, operator, { action, dryRun: isDry, state, done, skipped });
  };

  return new ReadableStream({
    async start(controller) {
      const send = (text: string) => {
        if (text !== '' && !cancel.signal.aborted) controller.enqueue(utf8.encode(text));
      };
      send(toText.start);
      const timer = setInterval(() => send(toText.progress(latest)), reportIntervalMs);
      const finish = async () => {
        try {
          const onProgress = (progress: Progress) => {
            latest = progress;
          };
          const outcome = await run({ onProgress, signal: cancel.signal });
          latest = outcome;
          audited('done');
          send(toText.end({ state: 'done', outcome }));
        } catch (error) {
          audited(cancel.signal.aborted ? 'cancelled' : 'failed');
          const away = isUnavailable(error);
          if (!cancel.signal.aborted && !away)
            log.error({ action: audit.action }, 'a change of letters failed');
          send(toText.end({ state: 'failed', isUnavailable: away, counts: latest }));
        } finally {
          clearInterval(timer);
          if (!cancel.signal.aborted) controller.close();
        }
      };
      // Not awaited: a stream whose start is pending does not deliver.
      void finish();
    },
    cancel() {
      cancel.abort(new Error('cancelled'));
    },
  });
};
