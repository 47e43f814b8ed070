/** The exit status of a process that a signal has ended, as shells report it. */
export const signalStatus = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * A second signal within this time is the same Ctrl-C: the terminal sends it to all processes in the foreground, and npm passes it on
 * to the program once more.
 */
const samePressMs = 500;

/** Calls `onFirst` for the first of these signals, and `onSecond` for the next one that is not the same press of Ctrl-C. */
export const onStopSignals = (
  onFirst: (signal: keyof typeof signalStatus) => void,
  onSecond: (signal: keyof typeof signalStatus) => void,
) => {
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        onFirst(signal);
      } else if (performance.now() - firstAt > samePressMs) onSecond(signal);
    });
};

/**
 * Aborted by the first Ctrl-C or SIGTERM, which also calls `onStop`; its reason has the exit `status` for that signal. The second one
 * ends the process at once.
 */
export const stopOnSignals = (onStop: () => void): AbortSignal => {
  const stop = new AbortController();
  onStopSignals(
    (name) => {
      stop.abort(Object.assign(new Error(`stopped by ${name}`), { status: signalStatus[name] }));
      onStop();
    },
    (name) => process.exit(signalStatus[name]),
  );
  return stop.signal;
};

/** The exit status for the signal by which this was aborted. */
export const interruptedStatus = ({ reason }: AbortSignal): number => reason.status;
