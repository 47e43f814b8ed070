import { readFileSync, statSync } from 'node:fs';
import { applyPatch, type Operation } from 'rfc6902';

/** A JSON Patch (RFC 6902) that makes orders of letters. */
export type Fix = Operation[];

/** What is wrong with an operation whatever it is applied to; a place that is missing depends on the letter. */
const isOperation = (operation: Operation) => {
  try {
    return applyPatch({}, [operation])[0]?.name !== 'InvalidOperationError';
  } catch {
    return false;
  }
};

/** From the text of a patch, or the path of a file that holds one. Throws an Error of one line that says what is wrong. */
export const readFix = (text: string): Fix => {
  const isInline = text.trimStart().startsWith('[');
  if (!isInline && !statSync(text, { throwIfNoEntry: false })?.isFile())
    throw new Error(
      `--fix holds ${JSON.stringify(text)}; allowed: a JSON Patch (RFC 6902), a list of operations such as ` +
        `[{"op":"replace","path":"/locale","value":"en"}], or the path of a file with one`,
    );
  let patch: unknown;
  try {
    patch = JSON.parse(isInline ? text : readFileSync(text, 'utf8'));
  } catch (error) {
    throw new Error(`--fix is not JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(patch) || patch.length === 0)
    throw new Error('--fix is not a JSON Patch (RFC 6902): a list of one operation or more');
  const wrong = patch.findIndex((operation) => !isOperation(operation));
  if (wrong >= 0)
    throw new Error(
      `--fix has no operation of RFC 6902 in place ${wrong + 1}: ${JSON.stringify(patch[wrong])}; ` +
        'add, replace and test need "path" and "value", remove "path", move and copy "from" and "path"; paths begin with "/"',
    );
  return patch;
};

/** The value with the patch applied, or why it cannot be. */
export const applyFix = (value: Buffer | null, fix: Fix): { fixed: Buffer } | { reason: string } => {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value ?? undefined));
  } catch {
    return { reason: 'the value is not JSON, so that no patch can be applied' };
  }
  const before = beyondBounds(document);
  if (before) return { reason: before };
  // One after the other: where one fails, the following are about another document.
  for (const operation of fix) {
    const why = attempt(document, operation);
    if (why) return { reason: `the patch does not fit: ${operation.op} ${operation.path}: ${why}` };
    // Thirty copies of a list into itself are more than anybody has memory for; one at a time no more than doubles it.
    const after = operation.op === 'copy' ? beyondBounds(document) : undefined;
    if (after) return { reason: `patched, ${after}` };
  }
  return { fixed: Buffer.from(JSON.stringify(document)) };
};

/** Of a value that is patched. What is nested deeper ends JSON.stringify, after seconds. */
const levelsAtMost = 1_000;
const charactersAtMost = 16_777_216;

/** Why a JSON document is too much to be patched, if it is. Without recursion, as it may be nested in any depth. */
const beyondBounds = (document: unknown): string | undefined => {
  let length = 0;
  let values: unknown[] = [document];
  for (let level = 0; values.length > 0; level++) {
    if (level > levelsAtMost) return `the value is nested more than ${levelsAtMost} levels deep`;
    const parts: unknown[] = [];
    for (const value of values) {
      length += typeof value === 'string' ? value.length + 2 : 2;
      if (Array.isArray(value)) for (const part of value) parts.push(part);
      else if (typeof value === 'object' && value !== null)
        for (const [name, part] of Object.entries(value)) {
          length += name.length + 3;
          parts.push(part);
        }
      if (length > charactersAtMost) return `the value has more than ${charactersAtMost} characters`;
    }
    values = parts;
  }
  return undefined;
};

const attempt = (document: unknown, operation: Operation): string | undefined => {
  try {
    const [error] = applyPatch(document, [operation]);
    if (!error) return undefined;
    return error.name === 'TestError' ? 'another value is there' : 'there is no such place';
  } catch (error) {
    return (error as Error).message;
  }
};
