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
      `--fix holds ${JSON.stringify(text)}; it may hold: a JSON Patch (RFC 6902), a list of operations such as ` +
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
  // One after the other: where one fails, the following are about another document.
  for (const operation of fix) {
    const why = attempt(document, operation);
    if (why) return { reason: `the patch does not fit: ${operation.op} ${operation.path}: ${why}` };
  }
  return { fixed: Buffer.from(JSON.stringify(document)) };
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
