/** The exit status of a process that a signal has ended, as shells report it. */
export const signalStatus = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Aborted by the first Ctrl-C or SIGTERM, which also calls `onStop`; its reason has the exit `status` for that signal. The second one
 * ends the process at once.
 */
export const stopOnSignals = (onStop: () => void): AbortSignal => {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      const status = signalStatus[name];
      if (stop.signal.aborted) process.exit(status);
      stop.abort(Object.assign(new Error(`stopped by ${name}`), { status }));
      onStop();
    });
  return stop.signal;
};

/** The exit status for the signal by which this was aborted. */
export const interruptedStatus = ({ reason }: AbortSignal): number => reason.status;
