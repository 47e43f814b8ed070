/** As a shell has it for Ctrl-C. */
export const interruptedStatus = 130;

/** Aborted by the first Ctrl-C or SIGTERM, of which `stopping` is told; the second ends the process at once. */
export const stopOnSignals = (stopping: () => void): AbortSignal => {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(interruptedStatus);
    stop.abort();
    stopping();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return stop.signal;
};
