const popDirection = '\u202c';
const popIsolate = '\u2069';
/** What each bidi control begins lasts until this one. */
const ends = new Map([
  ...[...'\u202a\u202b\u202d\u202e'].map((start) => [start, popDirection] as const),
  ...[...'\u2066\u2067\u2068'].map((start) => [start, popIsolate] as const),
]);
const firstStrongIsolate = '\u2068';

/**
 * The text with the bidi controls closed that it leaves open, and those opened that it closes: otherwise it would reorder what is
 * beside it, as the end of a <bdi> closes one isolate only.
 */
export const closeBidi = (text: string): string => {
  if (!/[\u202a-\u202e\u2066-\u2069]/.test(text)) return text;
  let before = '';
  let open: string[] = [];
  for (const character of text) {
    const end = ends.get(character);
    if (end) open.push(end);
    else if (character === popDirection && open.at(-1) === popDirection) open.pop();
    else if (character === popIsolate) {
      const start = open.lastIndexOf(popIsolate);
      if (start === -1) before += firstStrongIsolate;
      open = open.slice(0, Math.max(0, start));
    }
  }
  return before + text + open.reverse().join('');
};

/** A copy in which each text is closed. */
export const closeAllBidi = <T>(value: T): T => {
  if (typeof value === 'string') return closeBidi(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(closeAllBidi) as T;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, closeAllBidi(part)])) as T;
};
