import { Kind, type TSchema } from '@sinclair/typebox';
import type { ValueError } from '@sinclair/typebox/compiler';
import { emailPattern } from './field-kinds.ts';

/** One line with the field and what is allowed there. Without values of text, which may be personal. */
export const describeError = ({ path, schema, value }: ValueError): string => {
  const field = path.slice(1).replaceAll('/', '.') || 'the message';
  if (value === undefined) return `${field} is missing`;
  return `${field} must be ${allowed(schema)}${found(schema, value)}`;
};

const allowed = (schema: TSchema): string => {
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'integer') return `an integer from ${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'array') return `a list of ${schema.minItems} to ${schema.maxItems} items`;
  if (schema.type === 'object') return 'a JSON object';
  if (schema[Kind] === 'Instant') return 'an RFC 3339 date-time, at most one hour in the future';
  const characters = `${schema.minLength} to ${schema.maxLength} characters`;
  if (schema.pattern === emailPattern) return `an e-mail address of ${characters}`;
  return schema.pattern ? `text that matches ${schema.pattern}` : `text of ${characters} without NUL`;
};

/** Of a long text the characters are not counted. */
const characterCount = (text: string) => (text.length > 10_000 ? 'more than 5000' : [...text].length);

const found = (schema: TSchema, value: unknown): string => {
  if (value === null) return ', is null';
  if (Array.isArray(value)) return schema.type === 'array' ? `, has ${value.length}` : ', is a list';
  if (typeof value === 'string' && schema.type === 'string')
    return `, has ${characterCount(value)} characters`;
  if (typeof value === 'number' && schema.type === 'integer') return `, is ${value}`;
  return `, is a ${typeof value}`;
};
