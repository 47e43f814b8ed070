/** Returns the text of the number at a path as it was sent, `9223372036854775807`; undefined if that is not known. */
export type WrittenNumbers = (path: readonly (string | number)[]) => string | undefined;

/** A reviver takes about a microsecond for each value of the JSON; the longest orders are below this. */
const maxCharacters = 262_144;

/** Parses the JSON again when the first number is asked for: only a letter's reason needs it. */
export const createWrittenNumbers = (json: string | undefined): WrittenNumbers => {
  let document: unknown;
  let isParsed = false;
  return (path) => {
    if (json === undefined || json.length > maxCharacters) return undefined;
    if (!isParsed) document = withWrittenNumbers(json);
    isParsed = true;
    const written = path.reduce<unknown>(
      (value, name) => (value as Record<string, unknown> | undefined)?.[name],
      document,
    );
    return typeof written === 'string' ? written : undefined;
  };
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
