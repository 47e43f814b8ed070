import { Kind, type TSchema } from '@sinclair/typebox';
import { Check } from '@sinclair/typebox/value';
import { hasLength, readInstant } from './field-kinds.ts';
import type { Order, OrderSchema } from './order.ts';

/**
 * The fast path of the parser: checks and copies an order in one pass. Whatever it does not accept, the plain path decides; so without
 * it orders and reasons are the same.
 */

/** Returns the value as an order holds it. Undefined: it may be invalid. */
type Reader = (value: unknown) => unknown;

/** The texts of the document must have neither NUL nor lone surrogates: `mayHaveBadText` looks for them in the whole JSON. */
export const createOrderReader = (schema: OrderSchema) =>
  readerOf(schema) as (document: unknown) => Order | undefined;

/** In JSON in UTF-8, NUL and lone surrogates can only be written as `\u0000` and `\ud800`. True for whole pairs as well. */
export const mayHaveBadText = (json: string) => json.includes('\\u') && /\\u(?:0000|d[89a-f])/i.test(json);

const readerOf = (schema: TSchema): Reader => {
  if (schema.type === 'object') return objectReader(schema.properties);
  if (schema.type === 'array') return listReader(schema);
  if (schema.type === 'integer') return integerReader(schema);
  if (schema.enum) return (value) => (schema.enum.includes(value) ? value : undefined);
  if (schema[Kind] === 'Instant') return (value) => readInstant(schema, value);
  if (schema[Kind] === 'Text') return textReader(schema);
  if (schema[Kind] === 'OptionalText') {
    const read = textReader(schema);
    return (value) => (value === undefined || value === null ? '' : read(value));
  }
  return (value) => (Check(schema, value) ? value : undefined);
};

/**
 * Generated code, as property names that are constants make it twice as fast as a loop. It contains the names of the schema's fields
 * and nothing else from outside.
 */
const objectReader = (properties: Record<string, TSchema>): Reader => {
  const fields = Object.entries(properties).map(([name, schema], index) => ({
    name: JSON.stringify(name),
    variable: `field${index}`,
    reader: `read${index}`,
    read: readerOf(schema),
  }));
  const source = `return (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    ${fields
      .map(
        ({ name, variable, reader }) => `
    const ${variable} = ${reader}(value[${name}]);
    if (${variable} === undefined) return undefined;`,
      )
      .join('')}
    return { ${fields.map(({ name, variable }) => `${name}: ${variable}`)} };
  };`;
  const create = new Function(...fields.map(({ reader }) => reader), source);
  return create(...fields.map(({ read }) => read));
};

const listReader = ({ items, minItems, maxItems }: TSchema): Reader => {
  const read = readerOf(items);
  return (value) => {
    if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) return undefined;
    const copy: unknown[] = [];
    for (const item of value) {
      const itemCopy = read(item);
      if (itemCopy === undefined) return undefined;
      copy.push(itemCopy);
    }
    return copy;
  };
};

// -0 is the integer 0.
const integerReader =
  ({ minimum, maximum }: TSchema): Reader =>
  (value) =>
    Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum
      ? (value as number) + 0
      : undefined;

const textReader = ({ minLength, maxLength, pattern }: TSchema): Reader => {
  const read = (value: unknown) =>
    typeof value === 'string' && hasLength(value, minLength, maxLength) ? value : undefined;
  if (pattern === undefined) return read;
  const form = new RegExp(pattern, 'u');
  return (value) => {
    const text = read(value);
    return text !== undefined && form.test(text) ? text : undefined;
  };
};
