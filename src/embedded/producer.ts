/** Runs `producer.ts` in a thread: one fake order per second, so that the first run has something to show. */
export const startProducer = (brokers: readonly string[]) => {
  const thread = new Worker(new URL('../../producer.ts', import.meta.url), {
    argv: ['--rate', '1', '--quiet'],
    env: { ...process.env, KAFKA_BROKERS: brokers.join(',') } as Record<string, string>,
  });
  return {
    /** Ends the thread at once: fake orders may be lost. */
    stop: () => thread.terminate(),
  };
};
