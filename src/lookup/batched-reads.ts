/** The keys of one command; with more, an answer would be received in too many parts. */
const mostKeys = 256;

/**
 * Reads that begin in the same turn of the event loop are one read of many: for a client under load a command costs more than a
 * value. `readAll` resolves with a value for each of the keys that the promise resolves with, at the end of the turn, in their order; or
 * with undefined.
 */
export const createBatchedReads = <Key, Value>(
  readAll: (keys: Promise<readonly Key[]>) => Promise<readonly Value[] | undefined>,
) => {
  let keys: Key[] = [];
  let values: Promise<readonly Value[] | undefined> | undefined;

  const begin = () => {
    const begun: Key[] = [];
    keys = begun;
    const complete = new Promise<readonly Key[]>((resolve) =>
      setImmediate(() => {
        if (keys === begun) values = undefined;
        resolve(begun);
      }),
    );
    values = readAll(complete);
    return values;
  };

  return async (key: Key): Promise<Value | undefined> => {
    const all = values && keys.length < mostKeys ? values : begin();
    const index = keys.push(key) - 1;
    return (await all)?.[index];
  };
};
