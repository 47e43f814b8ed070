/** The exit status of a process that a signal has ended, as shells report it. */
export const signalStatus = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The same signal again within this time is no second one: a terminal sends SIGINT, and systemd SIGTERM, to all processes of the program,
 * and `bun run` or npm, which is one of them, passes it on to the program once more.
 */
const sameSignalMs = 500;

/** Calls `onFirst` for the first of these signals, and `onSecond` for the next one that is not the first again. */
export const onStopSignals = (
  onFirst: (signal: keyof typeof signalStatus) => void,
  onSecond: (signal: keyof typeof signalStatus) => void,
) => {
  let first: { signal: keyof typeof signalStatus; at: number } | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (first === undefined) {
        first = { signal, at: performance.now() };
        onFirst(signal);
      } else if (signal !== first.signal || performance.now() - first.at > sameSignalMs) onSecond(signal);
    });
};

/**
 * Aborted by the first Ctrl-C or SIGTERM, which also calls `onStop`; its reason has the exit `status` for that signal. A second one
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
