import { escapeText } from '../../cli/escape-text.ts';
import { prettyJson } from './pretty-json.ts';

/** A line of a value, and what is wrong with the field in it. */
export type MarkedLine = { text: string; faults: string[] };

/** The path of each line of indented JSON, `items.0.price`, and of the value's first line the empty text. */
const pathsOf = (lines: readonly string[]): string[] => {
  /** The open objects and lists: the path of each, and the index of a list's next value. */
  const open: { path: string; next: number | undefined }[] = [];
  const join = (path: string, name: string | number) => (path === '' ? `${name}` : `${path}.${name}`);
  return lines.map((line) => {
    const text = line.trimStart();
    const first = text[0];
    if (first === '}' || first === ']') return open.pop()?.path ?? '';
    const parent = open.at(-1);
    let path = '';
    if (parent?.next !== undefined) path = join(parent.path, parent.next++);
    else if (parent) path = join(parent.path, keyOf(text));
    const last = text.at(-1);
    if (last === '{' || last === '[') open.push({ path, next: last === '[' ? 0 : undefined });
    return path;
  });
};

/** The key of a line such as `"price": 453,`. */
const keyOf = (line: string): string => {
  let end = 1;
  while (end < line.length && line[end] !== '"') end += line[end] === '\\' ? 2 : 1;
  return JSON.parse(line.slice(0, end + 1));
};

/** `items.0.price must be …` → its path and the rest. `the message …` is about the whole value. */
const splitFault = (fault: string): [path: string, cause: string] => {
  const [, path, cause] = /^([a-z_][\w.]*) ((?:must|is|has|does|contains)\b.*)$/s.exec(fault) ?? [];
  return path === undefined || cause === undefined ? ['', fault] : [path, cause];
};

/**
 * A JSON value, indented, with each fault at its field's line. What is missing is marked where its object begins. Undefined if the
 * text is not JSON.
 */
export const markedJson = (
  text: string,
  faults: readonly string[],
  maxLength: number,
): MarkedLine[] | undefined => {
  const pretty = prettyJson(text, maxLength);
  if (pretty === undefined) return undefined;
  const lines = pretty.slice(0, maxLength).split('\n');
  const paths = pathsOf(lines);
  const lineAt = new Map<string, number>();
  for (const [index, path] of paths.entries()) if (!lineAt.has(path)) lineAt.set(path, index);
  const marked = lines.map((line): MarkedLine => ({ text: escapeText(line), faults: [] }));
  for (const fault of faults) {
    const [path, cause] = splitFault(fault);
    let at = path;
    while (at !== '' && !lineAt.has(at)) at = at.slice(0, Math.max(0, at.lastIndexOf('.')));
    const text = at === path ? cause : `${path} ${cause}`;
    marked[lineAt.get(at) ?? 0]?.faults.push(text);
  }
  return marked;
};
