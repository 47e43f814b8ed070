import { expect } from 'bun:test';

/** Waits until `found` returns what is expected, and otherwise fails with the difference. */
export const eventually = async <Value>(found: () => Promise<Value>, expected: Value, within = 20_000) => {
  const deadline = performance.now() + within;
  let value = await found();
  while (!Bun.deepEquals(value, expected) && performance.now() < deadline) {
    await Bun.sleep(20);
    value = await found();
  }
  expect<unknown>(value).toEqual(expected);
};
