import { test } from 'bun:test';

const said = new Set<string>();

type Define = (name: string, body: () => unknown, milliseconds?: number) => void;

/** `test`, if what it needs is there; otherwise the test is not defined, and one line says what is missing. */
export const testWith = (isThere: boolean, what: string): Define => {
  if (isThere) return test as Define;
  if (!said.has(what)) console.warn(`Without ${what} its tests are left out.`);
  said.add(what);
  return () => {};
};
