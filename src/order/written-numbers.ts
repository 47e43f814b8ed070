/**
 * Returns the text of the number at a path as it was sent, `9223372036854775807`; `about 9223372036854776000` if the JSON is too large
 * to look for that.
 */
export type WrittenNumbers = (path: readonly (string | number)[], value: number) => string;

/** A reviver takes about a microsecond for each value of the JSON. The longest order has some 12,000 values. */
const maxValues = 32_768;

/** A member that is written with decimals, an exponent or as `-0`. Text may look so, too: that costs only time. */
const unusual = /"\s*:\s*(?:-?\d+[.eE]|-0)/;

/**
 * Parses `json` again when the first number is asked for that it may have written in another way: only a letter's reason needs it.
 * `document` is the parsed JSON.
 */
export const createWrittenNumbers = (json: string | undefined, document: unknown): WrittenNumbers => {
  let isUsual: boolean | undefined;
  let written: { document: unknown } | undefined;
  return (path, value) => {
    if (json === undefined) return String(value);
    isUsual ??= !unusual.test(json);
    if (isUsual && Number.isSafeInteger(value)) return String(value);
    written ??= { document: hasMore(document, maxValues) ? undefined : withWrittenNumbers(json) };
    const text = path.reduce<unknown>(
      (part, name) => (part as Record<string, unknown> | undefined)?.[name],
      written.document,
    );
    return typeof text === 'string' ? text : `about ${value}`;
  };
};

/** Whether a document has more than `limit` values. Without recursion, as it may be nested to any depth. */
const hasMore = (document: unknown, limit: number): boolean => {
  const rest = [document];
  let found = 0;
  while (rest.length > 0) {
    const value = rest.pop();
    found += 1;
    if (typeof value !== 'object' || value === null) continue;
    const parts = Array.isArray(value) ? value : Object.values(value);
    if (found + rest.length + parts.length > limit) return true;
    for (const part of parts) rest.push(part);
  }
  return false;
};

/** The document with the text of each number in its place; undefined if it is nested too deep for a reviver. */
const withWrittenNumbers = (json: string): unknown => {
  try {
    return JSON.parse(json, (_, value, context?: { source: string }) =>
      typeof value === 'number' ? (context?.source ?? String(value)) : value,
    );
  } catch {
    return undefined;
  }
};
