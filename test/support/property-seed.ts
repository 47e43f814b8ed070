/**
 * Loaded before all tests: the property tests of a process have one seed, `PROPERTY_SEED` or a random one. A property that fails, or does
 * not end in time, prints it in a line of its own, with the counterexample, and appends the line to `failed-properties.log`.
 */
import { afterAll } from 'bun:test';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';

const logFile = process.env.PROPERTY_LOG ?? join(import.meta.dir, '../../failed-properties.log');
/** In characters: a counterexample may be a thousand orders. */
const maxLength = 20_000;

const given = process.env.PROPERTY_SEED;
const ownSeed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
if (!Number.isInteger(ownSeed)) throw new Error(`PROPERTY_SEED is "${given}", and has to be an integer`);
fc.configureGlobal({ seed: ownSeed });

type Property = { place: string };

const report = ({ place }: Property, seed: number, text: string) => {
  const line = `PROPERTY_SEED=${seed} the property at ${place} ${text}`.slice(0, maxLength);
  console.error(line);
  appendFileSync(logFile, `${new Date().toISOString()} ${line}\n`);
};

/** Those that have begun and not ended. */
const running = new Set<Property>();

/** The line of the test that calls, such as `test/order/order.test.ts:40`; its file where a tail call has left no line. */
const callerOf = (stack = '') =>
  /(?:test|packages)\/(?!support\/property-seed)[^\s()]*\.ts:\d+/.exec(stack)?.[0] ?? Bun.main;

fc.installGlobalPlugin(() => {
  const property = { place: callerOf(new Error().stack) };
  running.add(property);
  return {
    onAllRunsComplete({ failed, seed, numRuns, counterexample, counterexamplePath: path }) {
      if (failed)
        report(property, seed, `fails in run ${numRuns}, path ${path}: ${fc.stringify(counterexample)}`);
    },
    afterAll: () => void running.delete(property),
  };
});

afterAll(() => {
  for (const property of running) report(property, ownSeed, 'did not end in time');
  running.clear();
});
