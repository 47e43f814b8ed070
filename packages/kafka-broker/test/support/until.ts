/** Resolves with the first truthy value of `probe`, which is asked again and again until `ms` have passed. */
export const until = async <T>(probe: () => T | Promise<T>, ms = 30_000): Promise<NonNullable<T>> => {
  for (const deadline = Date.now() + ms; ; await Bun.sleep(10)) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Not within ${ms} ms: ${probe}`);
  }
};
