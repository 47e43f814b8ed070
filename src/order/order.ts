import { Kind, type Static, type TSchema, Type, TypeRegistry } from '@sinclair/typebox';
import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler';
import { toInstant } from './instant.ts';

/**
 * The order: its schema, and what follows from it — the type, the rules, the parser, the published documentation.
 * The rules are those of docs/messages.md; PostgreSQL's columns can hold whatever passes them.
 */

/** JSON Schema of a string; lengths in characters (code points), which TypeBox's own strings do not count. */
type TextRule = { minLength: number; maxLength: number; pattern?: string; format?: string };
type InstantRule = { format: 'date-time' };

/** A date may be ahead of our clock by this much, in ms. */
const aheadAtMost = 3_600_000;

const patterns = new Map<string, RegExp>();
const matches = (text: string, pattern: string) => {
  const compiled = patterns.get(pattern) ?? new RegExp(pattern, 'u');
  patterns.set(pattern, compiled);
  return compiled.test(text);
};

/** A text has at least `min` and at most `max` characters. `length` counts UTF-16 units, from one to two each. */
const hasLength = (text: string, min: number, max: number) => {
  if (text.length < min || text.length > 2 * max) return false;
  if (text.length <= max && text.length >= 2 * min) return true;
  const characters = [...text].length;
  return characters >= min && characters <= max;
};

// PostgreSQL holds no NUL, and UTF-8 has no lone surrogate: what is stored would not be what was sent.
const isText = (rule: TextRule, value: unknown) =>
  typeof value === 'string' &&
  hasLength(value, rule.minLength, rule.maxLength) &&
  !value.includes('\0') &&
  value.isWellFormed() &&
  (rule.pattern === undefined || matches(value, rule.pattern));

const isPlacedAt = (_: InstantRule, value: unknown) => {
  const instant = typeof value === 'string' ? toInstant(value) : undefined;
  return instant !== undefined && Date.parse(instant) <= Date.now() + aheadAtMost;
};

TypeRegistry.Set<TextRule>('Text', isText);
TypeRegistry.Set<InstantRule>('Instant', isPlacedAt);

const text = (minLength: number, maxLength: number, more: { pattern?: string; format?: string } = {}) =>
  Type.Unsafe<string>({ [Kind]: 'Text', type: 'string', minLength, maxLength, ...more });
const instant = () =>
  Type.Unsafe<string>({
    [Kind]: 'Instant',
    type: 'string',
    format: 'date-time',
    maxLength: 100,
    description: 'RFC 3339, at most one hour in the future; kept to the microsecond, answered in UTC',
  });
// Without the format, clients in languages that have one would take 32 bits for it.
const integer = (minimum: number, more: { maximum?: number; description?: string } = {}) =>
  Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, format: 'int64', ...more });
const oneOf = <const Values extends readonly string[]>(...values: Values) =>
  Type.Unsafe<Values[number]>({ [Kind]: 'OneOf', type: 'string', enum: values });
TypeRegistry.Set<{ enum: string[] }>('OneOf', (rule, value) => rule.enum.includes(value as string));

const trackNumber = () => text(8, 20, { pattern: '^[A-Z0-9]{8,20}$' });
// The HTML standard's address, with letters and digits of any script.
const emailPattern =
  "^[\\p{L}\\p{N}.!#$%&'*+\\/=?^_`{|}~\\-]+@[\\p{L}\\p{N}](?:[\\p{L}\\p{N}\\-]*[\\p{L}\\p{N}])?(?:\\.[\\p{L}\\p{N}](?:[\\p{L}\\p{N}\\-]*[\\p{L}\\p{N}])?)*$";

export const OrderUid = text(10, 50);

export const Order = Type.Object(
  {
    order_uid: OrderUid,
    track_number: trackNumber(),
    entry: text(1, 10),
    delivery: Type.Object({
      name: text(1, 100),
      phone: text(6, 16, { pattern: '^\\+[0-9]{5,15}$' }),
      zip: text(1, 20),
      city: text(1, 100),
      address: text(1, 200),
      region: text(1, 100),
      email: text(3, 100, { pattern: emailPattern }),
    }),
    payment: Type.Object({
      transaction: text(1, 50),
      request_id: text(0, 50),
      currency: oneOf('USD', 'EUR', 'RUB'),
      provider: oneOf('wbpay', 'applepay', 'googlepay'),
      amount: integer(1),
      payment_dt: integer(1, { description: 'Unix time, in s' }),
      bank: text(1, 50),
      delivery_cost: integer(0),
      goods_total: integer(1),
      custom_fee: integer(0),
    }),
    items: Type.Array(
      Type.Object({
        chrt_id: integer(1),
        track_number: trackNumber(),
        price: integer(1),
        rid: text(1, 50),
        name: text(1, 100),
        sale: integer(0, { maximum: 100, description: 'Percent' }),
        size: text(1, 10),
        total_price: integer(1),
        nm_id: integer(1),
        brand: text(1, 100),
        status: integer(0),
      }),
      { minItems: 1, maxItems: 1000 },
    ),
    locale: oneOf('en', 'ru'),
    internal_signature: text(0, 50),
    customer_id: text(1, 50),
    delivery_service: text(1, 50),
    shardkey: text(1, 10),
    sm_id: integer(0),
    date_created: instant(),
    oof_shard: text(1, 10),
  },
  {
    $id: 'Order',
    title: 'Order',
    description:
      'Immutable. Lengths are in characters, texts hold no NUL; fields that are not listed are ignored on the way in.',
  },
);

export type Order = Static<typeof Order>;
export type OrderUid = string;

/** What is wrong with a message: `parse` is not JSON in UTF-8, `validate` is JSON but not an order. */
export type Refusal = { stage: 'parse' | 'validate'; reason: string };

const checker = TypeCompiler.Compile(Order);
const uidChecker = TypeCompiler.Compile(OrderUid);
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** More than the longest order takes, however it is escaped; some JSON takes fifty times its length in memory. */
const bytesAtMost = 4_194_304;

/** What nearly all are; the general check counts characters. */
const plainUid = /^[\w-]{10,50}$/;
export const isOrderUid = (value: unknown): value is OrderUid =>
  (typeof value === 'string' && plainUid.test(value)) || uidChecker.Check(value);

/**
 * A message's value as an order: only the known fields, in the schema's order, the date in canonical form. So one
 * order has one JSON text, and that text is byte for byte what PostgreSQL answers for it (`store.find`).
 */
export const parseOrder = (value: Uint8Array | null): { order: Order } | Refusal => {
  if (value === null) return { stage: 'parse', reason: 'the message has no value' };
  if (value.length === 0) return { stage: 'parse', reason: 'the message is empty' };
  if (value.length > bytesAtMost)
    return { stage: 'parse', reason: `the message has ${value.length} bytes, more than ${bytesAtMost}` };
  let json: string;
  try {
    json = utf8.decode(value);
  } catch {
    return { stage: 'parse', reason: 'the message is not UTF-8' };
  }
  let candidate: unknown;
  try {
    candidate = JSON.parse(json);
  } catch {
    return { stage: 'parse', reason: 'the message is not JSON' };
  }
  return toOrder(candidate);
};

/** A parsed JSON value as an order, as `parseOrder` has it. */
export const toOrder = (candidate: unknown): { order: Order } | Refusal => {
  if (!checker.Check(candidate)) {
    const error = checker.Errors(candidate).First();
    return { stage: 'validate', reason: error ? describe(error) : 'the message is not an order' };
  }
  return { order: copyOrder(candidate) };
};

/** Copies what a schema knows of a value that it has accepted. */
const copier = (schema: TSchema): ((value: never) => unknown) => {
  if (schema.type === 'object') {
    const fields = Object.entries(schema.properties as Record<string, TSchema>).map(
      ([name, field]) => [name, copier(field)] as const,
    );
    return (value: Record<string, never>) => {
      const copy: Record<string, unknown> = {};
      for (const [name, copyField] of fields) copy[name] = copyField(value[name] as never);
      return copy;
    };
  }
  if (schema.type === 'array') {
    const copyItem = copier(schema.items as TSchema);
    return (value: never[]) => value.map((item) => copyItem(item));
  }
  if (schema[Kind] === 'Instant') return (value: string) => toInstant(value);
  // -0 is the integer 0, in JSON and in PostgreSQL.
  if (schema.type === 'integer') return (value: number) => value + 0;
  return (value) => value;
};
const copyOrder = copier(Order) as (value: Order) => Order;

/** One line that names the field and what is allowed there; values are left out, as they may be personal. */
const describe = ({ path, schema, value }: ValueError): string => {
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

/** Of a text of any length. A character has one UTF-16 unit or two. */
const countOf = (text: string) => (text.length > 10_000 ? 'more than 5000' : [...text].length);

const found = (schema: TSchema, value: unknown): string => {
  if (value === null) return ', is null';
  if (Array.isArray(value)) return schema.type === 'array' ? `, has ${value.length}` : ', is a list';
  if (typeof value === 'string' && schema.type === 'string') return `, has ${countOf(value)} characters`;
  if (typeof value === 'number' && schema.type === 'integer') return `, is ${value}`;
  return `, is a ${typeof value}`;
};
