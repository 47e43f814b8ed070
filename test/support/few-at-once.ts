import { test } from 'bun:test';
import pLimit from 'p-limit';

/** Two processors are not overloaded by these, as such a test waits for most of its time. */
const atOnce = 4;

/**
 * Defines tests of a file that run a few at once, for tests that mostly wait and share nothing. The limit of a batch is set for the
 * whole thread, so tests that change that of a topic run alone. The timeout of a test counts from the start of the first: it has to
 * be that of all.
 */
export const testFewAtOnce = () => {
  const limit = pLimit(atOnce);
  return (name: string, act: () => unknown) =>
    test.concurrent(name, () => limit(async () => void (await act())));
};
