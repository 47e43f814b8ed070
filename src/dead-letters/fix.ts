import { readFileSync, statSync } from 'node:fs';
import { applyPatch, type Operation } from 'rfc6902';
import { parseExactly, stringifyExactly } from './exact-json.ts';

/** A JSON Patch (RFC 6902) for the values of letters. */
export type Fix = Operation[];

/** The library would leave these out of a path and change something else. */
const isOfPrototypes = (path: unknown) => /\/(?:__proto__|constructor|prototype)(?:\/|$)/.test(String(path));

/** Whether an operation is well-formed. Whether its path exists depends on the letter. */
const isOperation = (operation: Operation & { from?: unknown }) => {
  try {
    if (isOfPrototypes(operation.path) || isOfPrototypes(operation.from)) return false;
    return applyPatch({}, [operation])[0]?.name !== 'InvalidOperationError';
  } catch {
    return false;
  }
};

/** Parses a patch, inline or from a file. Throws an Error of one line if it is not one. */
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
  return toFix(patch, '--fix');
};

/** A patch that is parsed already. Throws an Error of one line, which begins with `name`, if it is not one. */
export const toFix = (patch: unknown, name: string): Fix => {
  if (!Array.isArray(patch) || patch.length === 0)
    throw new Error(`${name} is not a JSON Patch (RFC 6902): a list of one operation or more`);
  const wrong = patch.findIndex((operation) => !isOperation(operation));
  if (wrong >= 0)
    throw new Error(
      `${name} has an invalid operation in place ${wrong + 1}: ${JSON.stringify(patch[wrong])}; ` +
        'add, replace and test need "path" and "value", remove "path", move and copy "from" and "path"; paths begin with "/", and none names a prototype',
    );
  return patch;
};

/** The patched value, or the reason why the patch cannot be applied. */
export const applyFix = (value: Buffer | null, fix: Fix): { fixed: Buffer } | { reason: string } => {
  let text: string;
  let document: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(value ?? undefined);
    document = JSON.parse(text);
  } catch {
    return { reason: 'the value is not JSON, so no patch can be applied' };
  }
  const tooLarge = limitExceeded(document);
  if (tooLarge) return { reason: tooLarge };
  document = parseExactly(text);
  // One by one: after a failure the rest would be applied to a different document.
  for (const operation of fix) {
    const failure = apply(document, operation);
    if (failure) return { reason: `the patch does not fit: ${operation.op} ${operation.path}: ${failure}` };
    // Each copy can double the document: thirty of them would exhaust the memory.
    const grown = operation.op === 'copy' ? limitExceeded(document) : undefined;
    if (grown) return { reason: `patched, ${grown}` };
  }
  return { fixed: Buffer.from(stringifyExactly(document)) };
};

/** Limits of a patched value. On deeper nesting JSON.stringify fails, after seconds. */
const maxDepth = 1_000;
const maxCharacters = 16_777_216;

/** Which limit a JSON document exceeds, if any. Without recursion, as it may be nested to any depth. */
const limitExceeded = (document: unknown): string | undefined => {
  let length = 0;
  let values: unknown[] = [document];
  for (let level = 0; values.length > 0; level++) {
    if (level > maxDepth) return `the value is nested more than ${maxDepth} levels deep`;
    const parts: unknown[] = [];
    for (const value of values) {
      length += typeof value === 'string' ? value.length + 2 : 2;
      if (Array.isArray(value)) for (const part of value) parts.push(part);
      else if (typeof value === 'object' && value !== null)
        for (const [name, part] of Object.entries(value)) {
          length += name.length + 3;
          parts.push(part);
        }
      if (length > maxCharacters) return `the value has more than ${maxCharacters} characters`;
    }
    values = parts;
  }
  return undefined;
};

const apply = (document: unknown, operation: Operation): string | undefined => {
  try {
    const [error] = applyPatch(document, [operation]);
    if (!error) return undefined;
    return error.name === 'TestError' ? 'the value differs' : 'the path does not exist';
  } catch (error) {
    return (error as Error).message;
  }
};
