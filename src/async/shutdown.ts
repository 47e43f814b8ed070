import { sleep } from './retry.ts';
import { onStopSignals, signalStatus } from './signals.ts';
import { stopTimeoutsMs } from './stop-timeouts.ts';
import { waitAtMost } from './timeouts.ts';

type Options = {
  /** How long the process keeps answering after SIGTERM, so that load balancers can notice. SIGINT, from a terminal, has no delay. */
  drainMs: number;
  onSignal: (signal: NodeJS.Signals, drainMs: number) => void;
  onFailure: (error: unknown) => void;
};

/** The end of the process, by SIGINT, SIGTERM or a failure. A second signal ends it at once. */
export const createShutdown = ({ drainMs, onSignal, onFailure }: Options) => {
  const stopping = new AbortController();
  const requested = Promise.withResolvers<{ status: number; delayMs: number }>();
  const request = (status: number, delayMs: number) => {
    requested.resolve({ status, delayMs });
    stopping.abort();
  };
  onStopSignals(
    (signal) => {
      // The stop may have begun by a failure.
      if (stopping.signal.aborted) process.exit(signalStatus[signal]);
      const delayMs = signal === 'SIGTERM' ? drainMs : 0;
      onSignal(signal, delayMs);
      request(0, delayMs);
    },
    (signal) => process.exit(signalStatus[signal]),
  );
  return {
    /** Aborted when the stop begins. */
    signal: stopping.signal,
    /** Resolves when the drain delay after the signal is over. */
    drained: requested.promise.then(({ delayMs }) => sleep(delayMs)),
    /** Stops the process with status 1, because it cannot go on. */
    fail(error: unknown) {
      if (stopping.signal.aborted) return;
      onFailure(error);
      request(1, 0);
    },
    /** Waits for the stop, then for `close`, as long as the time limit allows. Resolves with the status of the process. */
    async finish(close: () => Promise<unknown>): Promise<number> {
      const { status, delayMs } = await requested.promise;
      await waitAtMost(delayMs + stopTimeoutsMs.process, close());
      return status;
    },
  };
};

export type Shutdown = ReturnType<typeof createShutdown>;
