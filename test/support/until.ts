/** A probe often asks Kafka or PostgreSQL: in a long wait it is asked less often, as it would slow down what it waits for. */
const pauseMs = (waitedMs: number) => Math.min(100, Math.max(10, waitedMs / 20));

/** Resolves with the first truthy value of `probe`, which is asked again and again until `ms` have passed. */
export const until = async <T>(probe: () => T | Promise<T>, ms = 30_000): Promise<NonNullable<T>> => {
  for (const start = performance.now(); ; ) {
    const value = await probe();
    if (value) return value;
    const waited = performance.now() - start;
    if (waited > ms) throw new Error(`Not within ${ms} ms: ${probe}`);
    await Bun.sleep(pauseMs(waited));
  }
};
