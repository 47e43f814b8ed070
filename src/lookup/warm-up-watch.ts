type WarmUp = (signal: AbortSignal) => Promise<number>;

/** Runs a warm-up, and knows whether one is running and what the last successful one came to. */
export const watchWarmUp = (warmUp: WarmUp) => {
  let isRunning = false;
  let last: { entries: number; seconds: number } | undefined;
  return {
    async run(signal: AbortSignal): Promise<number> {
      const startedAt = performance.now();
      isRunning = true;
      try {
        const entries = await warmUp(signal);
        last = { entries, seconds: (performance.now() - startedAt) / 1000 };
        return entries;
      } finally {
        isRunning = false;
      }
    },
    isRunning: () => isRunning,
    last: () => last,
  };
};

export type WarmUpWatch = ReturnType<typeof watchWarmUp>;
