import { test } from 'bun:test';

const said = new Set<string>();

type Define = (name: string, body: () => unknown, milliseconds?: number) => void;

/** `define`, if what the test needs is there; otherwise it is not defined, and one line says what is missing. */
export const testWith = (isThere: boolean, what: string, define = test as Define): Define => {
  if (isThere) return define;
  if (!said.has(what)) console.warn(`Without ${what} its tests are left out.`);
  said.add(what);
  return () => {};
};
