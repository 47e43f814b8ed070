import type { Static, TSchema } from '@sinclair/typebox';
import { ValueErrorType } from '@sinclair/typebox/errors';
import { Value } from '@sinclair/typebox/value';

/** What is wrong with a request, as a sentence for a person. */
export type Invalid = { invalid: string };

/** A JSON body by a schema. */
export const readBody = <T extends TSchema>(schema: T, text: string): Static<T> | Invalid => {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { invalid: 'The body is not JSON.' };
  }
  const [error] = Value.Errors(schema, body);
  if (!error) return body as Static<T>;
  const { path, type, message } = error;
  const allowed =
    type === ValueErrorType.ObjectAdditionalProperties
      ? `; allowed: ${Object.keys(error.schema.properties).join(', ')}`
      : '';
  return { invalid: `The body is wrong at ${path || 'its root'}: ${message}${allowed}.` };
};

/** The contract of a JSON body. */
export const bodyOf = (schema: object, example: object) => ({
  required: true,
  content: { 'application/json': { schema, example } },
});
