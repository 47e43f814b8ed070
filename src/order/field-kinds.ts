import { Kind, Type, TypeRegistry } from '@sinclair/typebox';
import { toInstant } from './instant.ts';
import { expiryOf } from './retention.ts';

/** The kinds of fields of an order, as JSON Schema with the checks that TypeBox lacks. */

/** Lengths are in characters (code points); TypeBox's own strings count UTF-16 units. */
type TextRule = { minLength: number; maxLength: number; pattern?: string; format?: string };
/** JSON Schema has no keyword for a limit of age. */
type InstantRule = { format: 'date-time'; 'x-max-age-days'?: number };

/** How far a date may be in the future, as clocks differ. */
export const maxFutureMs = 3_600_000;

const patterns = new Map<string, RegExp>();
const matches = (text: string, pattern: string) => {
  const compiled = patterns.get(pattern) ?? new RegExp(pattern, 'u');
  patterns.set(pattern, compiled);
  return compiled.test(text);
};

/** Whether a text has `min` to `max` characters. Counts them only if `length`, with one or two units a character, does not decide. */
export const hasLength = (text: string, min: number, max: number) => {
  if (text.length < min || text.length > 2 * max) return false;
  if (text.length <= max && text.length >= 2 * min - 1) return true;
  const characters = [...text].length;
  return characters >= min && characters <= max;
};

// PostgreSQL cannot store NUL, and UTF-8 has no lone surrogates: what is stored would differ from what was sent.
const isText = (rule: TextRule, value: unknown) =>
  typeof value === 'string' &&
  hasLength(value, rule.minLength, rule.maxLength) &&
  !value.includes('\0') &&
  value.isWellFormed() &&
  (rule.pattern === undefined || matches(value, rule.pattern));

const isOptionalText = (rule: TextRule, value: unknown) =>
  value === undefined || value === null || isText(rule, value);

/** Whether an instant, in ms since 1970, is older than its rule allows. */
export const isExpired = (rule: Record<string, unknown>, ms: number) => {
  const maxAgeDays = rule['x-max-age-days'];
  return typeof maxAgeDays === 'number' && ms < expiryOf(maxAgeDays, Date.now());
};

/** The instant in canonical form; undefined if the value is none, or none that an order may have. */
export const readInstant = (rule: Record<string, unknown>, value: unknown): string | undefined => {
  const instant = typeof value === 'string' ? toInstant(value) : undefined;
  if (instant === undefined) return undefined;
  const ms = Date.parse(instant);
  return ms >= 0 && ms <= Date.now() + maxFutureMs && !isExpired(rule, ms) ? instant : undefined;
};

const isInstant = (rule: InstantRule, value: unknown) => readInstant(rule, value) !== undefined;

TypeRegistry.Set<TextRule>('Text', isText);
TypeRegistry.Set<TextRule>('OptionalText', isOptionalText);
TypeRegistry.Set<InstantRule>('Instant', isInstant);
TypeRegistry.Set<{ enum: string[] }>('OneOf', (rule, value) => rule.enum.includes(value as string));

export const text = (
  minLength: number,
  maxLength: number,
  more: { pattern?: string; format?: string } = {},
) => Type.Unsafe<string>({ [Kind]: 'Text', type: 'string', minLength, maxLength, ...more });
/** Text that a message may omit or hold as null, which is the empty text. An order always has it. */
export const optionalText = (maxLength: number) =>
  Type.Unsafe<string>({
    [Kind]: 'OptionalText',
    type: 'string',
    minLength: 0,
    maxLength,
    description: 'A message may omit it or hold null, which is the empty text',
  });
/** `maxAgeDays`: null for no limit. */
export const instant = (maxAgeDays: number | null) =>
  Type.Unsafe<string>({
    [Kind]: 'Instant',
    type: 'string',
    format: 'date-time',
    maxLength: 100,
    description: `RFC 3339, from the year 1970 on and at most one hour in the future; kept to the microsecond, answered in UTC${maxAgeDays === null ? '' : `; a message's at most ${maxAgeDays} days ago`}`,
    ...(maxAgeDays !== null && { 'x-max-age-days': maxAgeDays }),
  });
// Without the format, code generated from the schema may use integers of 32 bits.
export const integer = (minimum: number, more: { maximum?: number; description?: string } = {}) =>
  Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, format: 'int64', ...more });
export const oneOf = (values: readonly string[]) =>
  Type.Unsafe<string>({ [Kind]: 'OneOf', type: 'string', enum: [...values] });

// The HTML standard's e-mail address, but with letters and digits of any script.
export const emailPattern =
  "^[\\p{L}\\p{N}.!#$%&'*+\\/=?^_`{|}~\\-]+@[\\p{L}\\p{N}](?:[\\p{L}\\p{N}\\-]*[\\p{L}\\p{N}])?(?:\\.[\\p{L}\\p{N}](?:[\\p{L}\\p{N}\\-]*[\\p{L}\\p{N}])?)*$";
