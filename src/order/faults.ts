import { Kind, type TSchema } from '@sinclair/typebox';
import { Check } from '@sinclair/typebox/value';
import { emailPattern, hasLength, isExpired, maxFutureMs } from './field-kinds.ts';
import { maxInstantLength, toInstant } from './instant.ts';
import type { WrittenNumbers } from './written-numbers.ts';

/** What is wrong with a message that is no order: each faulty field with its cause. Without values of text, which may be personal. */

type Path = readonly (string | number)[];

/** Every fault, in the schema's order: `payment.amount must be an integer from 1 to 9007199254740991, is 0`. */
export function* findFaults(
  schema: TSchema,
  value: unknown,
  written: WrittenNumbers,
  path: Path = [],
): Generator<string> {
  const name = path.join('.') || 'the message';
  if (schema.type === 'object' && isObject(value)) {
    for (const [field, rule] of Object.entries(schema.properties as Record<string, TSchema>))
      yield* findFaults(rule, value[field], written, [...path, field]);
  } else if (schema.type === 'array' && Array.isArray(value)) {
    if (value.length < schema.minItems || value.length > schema.maxItems)
      yield `${name} must be a list of ${schema.minItems} to ${schema.maxItems} items, has ${value.length}`;
    else
      for (const [index, item] of value.entries())
        yield* findFaults(schema.items, item, written, [...path, index]);
  } else if (path.length === 0 && Array.isArray(value)) {
    yield 'the message is a list: send each order as a message of its own';
  } else if (!Check(schema, value)) {
    yield `${name} ${value === undefined ? 'is missing' : causeOf(schema, value, (number) => written(path, number))}`;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const causeOf = (schema: TSchema, value: unknown, written: (value: number) => string): string => {
  if (typeof value === 'string' && schema.type === 'string') return causeOfText(schema, value);
  const found =
    typeof value === 'number' && schema.type === 'integer' ? shortNumber(written(value)) : typeOf(value);
  return `must be ${allowed(schema)}, is ${found}`;
};

const causeOfText = (schema: TSchema, value: string): string => {
  if (schema.enum) return `is not one of ${list(schema.enum)}`;
  if (schema[Kind] === 'Instant') return causeOfInstant(schema, value);
  const { minLength, maxLength, pattern } = schema;
  if (!hasLength(value, minLength, maxLength))
    return `must have ${minLength} to ${maxLength} characters, has ${characterCount(value)}`;
  if (value.includes('\0')) return 'contains NUL';
  if (!value.isWellFormed()) return 'contains half of a surrogate pair';
  return pattern === emailPattern ? 'is no e-mail address' : `does not match ${pattern}`;
};

const causeOfInstant = (schema: TSchema, value: string): string => {
  if (value.length > maxInstantLength)
    return `must have at most ${maxInstantLength} characters, has ${characterCount(value)}`;
  const instant = toInstant(value);
  if (instant === undefined)
    return toInstant(`${value}Z`) === undefined ? 'is no RFC 3339 date-time' : 'has no time zone';
  const ms = Date.parse(instant);
  const aheadMs = ms - Date.now();
  if (aheadMs > maxFutureMs)
    return `must be at most ${duration(maxFutureMs)} ahead, is ${duration(aheadMs)} ahead`;
  // Without its age: so all such letters are one group.
  return ms >= 0 && isExpired(schema, ms)
    ? `is older than ORDER_RETENTION_DAYS, ${schema['x-max-age-days']} days`
    : 'is before 1970, as a zero value that stands for a missing date';
};

const duration = (ms: number) => {
  const minutes = Math.ceil(ms / 60_000);
  if (minutes > 60 && minutes < 180) return `${minutes} min`;
  const hours = Math.round(ms / 3_600_000);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
};

const allowed = (schema: TSchema): string => {
  if (schema.enum) return `one of ${list(schema.enum)}`;
  if (schema.type === 'integer') return `an integer from ${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'array') return `a list of ${schema.minItems} to ${schema.maxItems} items`;
  if (schema.type === 'object') return 'a JSON object';
  if (schema[Kind] === 'Instant') return 'an RFC 3339 date-time';
  return `text of ${schema.minLength} to ${schema.maxLength} characters`;
};

const maxListed = 20;
const list = (values: string[]) =>
  values.slice(0, maxListed).join(', ') +
  (values.length > maxListed ? ` and ${values.length - maxListed} more` : '');

/** The characters of a longer text are not counted. */
const characterCount = (text: string) => (text.length > 10_000 ? 'more than 5000' : [...text].length);

const maxDigits = 40;

const shortNumber = (text: string) => (text.length > maxDigits ? `${text.slice(0, maxDigits)}…` : text);

const typeOf = (value: unknown) => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
};

const maxFaults = 20;
/** In bytes: a reason is in a header, and everything but the ellipsis is ASCII. */
const maxReasonBytes = 4_096;
const separator = '; ';
const more = 'and more faults';

/** One line of at most 4096 bytes with the first 20 faults, and a note if there are more. */
export const describeFaults = (faults: Iterable<string>): string => {
  const listed: string[] = [];
  let bytes = separator.length + more.length;
  for (const fault of faults) {
    bytes += Buffer.byteLength(fault) + separator.length;
    if (listed.length === maxFaults || bytes > maxReasonBytes) return [...listed, more].join(separator);
    listed.push(fault);
  }
  return listed.join(separator) || 'the message is not an order';
};

/** The faults of a reason that `describeFaults` made. */
export const faultsIn = (reason: string): string[] =>
  reason.split(separator).filter((fault) => fault !== more);
