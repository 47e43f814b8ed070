/** The exit status of a process ended by Ctrl-C, as shells report it. */
export const interruptedStatus = 130;

/** Aborted by the first Ctrl-C or SIGTERM, which also calls `onStop`. The second one ends the process at once. */
export const stopOnSignals = (onStop: () => void): AbortSignal => {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(interruptedStatus);
    stop.abort();
    onStop();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return stop.signal;
};
