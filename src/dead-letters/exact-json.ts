/**
 * JSON that is parsed, changed and written again, with the numbers that were not changed as they were written: 9223372036854775807
 * would become 9223372036854776000. While it is parsed, each number that a double cannot hold is a text with a random mark.
 */

const marker = `${crypto.randomUUID()} `;

// The library's types lack both, which Bun has.
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };

/** Fifteen digits are written as they were read, unless the number is too large or too small. */
const isExact = (value: number, source: string) =>
  source === String(value) || (source.length <= 15 && Math.abs(value) > 1e-300 && Number.isFinite(value));

/** Throws if the text is not JSON, or is nested too deep. */
export const parseExactly = (json: string): unknown =>
  JSON.parse(json, (_, value, context?: { source: string }) =>
    typeof value === 'number' && context && !isExact(value, context.source)
      ? `${marker}${context.source}`
      : value,
  );

/** The JSON of what `parseExactly` returned, also after changes. */
export const stringifyExactly = (document: unknown): string =>
  JSON.stringify(document, (_, value) =>
    typeof value === 'string' && value.startsWith(marker) ? rawJSON(value.slice(marker.length)) : value,
  );
