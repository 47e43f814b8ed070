import { Kind, type TSchema } from '@sinclair/typebox';
import type { Order, OrderSchema } from '../order/order.ts';

/** Deliberately invalid messages: every way to break the schema, derived from it, so that new fields and rules are included. */

/** One kind of invalid message, such as `delivery.city missing`; `make` derives it from a valid order. */
export type BadKind = { name: string; make: (order: Order) => Buffer | null };
type Family = keyof ReturnType<typeof badKinds>;

type Field = { path: string[]; rule: TSchema };

const toBytes = (value: unknown) => Buffer.from(JSON.stringify(value));

const fieldsOf = (schema: TSchema, path: string[] = []): Field[] => {
  const children = schema.type === 'array' ? { 0: schema.items } : (schema.properties ?? {});
  return Object.entries(children as Record<string, TSchema>).flatMap(([name, rule]) => [
    { path: [...path, name], rule },
    ...fieldsOf(rule, [...path, name]),
  ]);
};

const valueAt = (order: Order, path: string[]) =>
  path.reduce((value: unknown, name) => (value as Record<string, unknown>)[name], order);

/** The order with another value at a path; undefined removes the field. */
const withValue = (order: Order, path: string[], value: unknown): unknown => {
  const copy = structuredClone(order);
  const parent = valueAt(copy, path.slice(0, -1)) as Record<string, unknown>;
  parent[path.at(-1) as string] = value;
  return copy;
};

/** Values that break a rule, by description. Those of lists need the list itself. */
const breaches = (rule: TSchema): Record<string, unknown | ((list: unknown[]) => unknown)> => {
  if (rule.enum) return { 'not among those allowed': 'none of them', 'not text': 1, 'is null': null };
  if (rule.type === 'object') return { 'is a list': [], 'is text': 'text', 'is null': null };
  if (rule.format === 'date-time')
    return {
      'not a date-time': 'yesterday',
      'without offset': '2024-02-29T12:00:00',
      'in the future': '9999-01-01T00:00:00Z',
      'a zero value': '0001-01-01T00:00:00Z',
    };
  if (rule.type === 'integer')
    return {
      'below its minimum': rule.minimum - 1,
      ...(rule.maximum < Number.MAX_SAFE_INTEGER && { 'above its maximum': rule.maximum + 1 }),
      'not whole': rule.minimum + 0.5,
      'not a number': `${rule.minimum}`,
      'is null': null,
    };
  if (rule.type === 'array')
    return {
      'too few': [],
      'too many': ([first]: unknown[]) => Array.from({ length: rule.maxItems + 1 }, () => first),
      'not a list': {},
      'is null': null,
    };
  return {
    ...(rule.minLength > 0 && { 'too short': 'X'.repeat(rule.minLength - 1) }),
    'too long': 'X'.repeat(rule.maxLength + 1),
    ...(rule.pattern && { 'not of its pattern': '¿'.repeat(rule.minLength) }),
    'not text': 1,
    ...(rule[Kind] !== 'OptionalText' && { 'is null': null }),
    'with half a character': '\ud800'.padEnd(rule.minLength, 'X'),
  };
};

const brokenRules = ({ path, rule }: Field): BadKind[] =>
  Object.entries(breaches(rule)).map(([how, value]) => ({
    name: `${path.join('.')} ${how}`,
    make: (order) =>
      toBytes(withValue(order, path, typeof value === 'function' ? value(valueAt(order, path)) : value)),
  }));

/**
 * All kinds, by family. A parser rejects all of them except `conflict`, a different order under the uid of a known one, which
 * only the store can reject.
 */
export const badKinds = (schema: OrderSchema) => {
  const fields = fieldsOf(schema);
  const texts = fields.filter(({ rule }) => rule.type === 'string' && rule.maxLength);
  const integers = fields.filter(({ rule }) => rule.type === 'integer');
  // An element of a list cannot be missing: the list would be shorter.
  const required = fields.filter(({ path, rule }) => path.at(-1) !== '0' && rule[Kind] !== 'OptionalText');

  return {
    'no value': [{ name: 'no value', make: () => null }],
    empty: [{ name: 'empty', make: () => Buffer.alloc(0) }],
    'not UTF-8': [
      // A name in Windows-1251, as a producer with the wrong encoding would send it.
      { name: 'in another encoding', make: (order) => spliced(order, [0xc8, 0xe2, 0xe0, 0xed]) },
      { name: 'half a character', make: (order) => spliced(order, [0xd0]) },
      { name: 'a lone surrogate as bytes', make: (order) => spliced(order, [0xed, 0xa0, 0x80]) },
    ],
    'not JSON': [
      { name: 'cut off', make: (order) => toBytes(order).subarray(0, -10) },
      { name: 'plain text', make: (order) => Buffer.from(`order ${order.order_uid}`) },
      { name: 'two documents', make: (order) => Buffer.concat([toBytes(order), toBytes(order)]) },
    ],
    'another shape': [
      { name: 'a list', make: (order) => toBytes([order]) },
      { name: 'wrapped', make: (order) => toBytes({ order }) },
      { name: 'text', make: (order) => toBytes(JSON.stringify(order)) },
      { name: 'null', make: () => toBytes(null) },
      { name: 'a number', make: () => toBytes(42) },
      { name: 'an empty object', make: () => toBytes({}) },
    ],
    'field missing': required.map(({ path }) => ({
      name: `${path.join('.')} missing`,
      make: (order) => toBytes(withValue(order, path, undefined)),
    })),
    'rule broken': fields.flatMap(brokenRules),
    'with NUL': texts.map(({ path, rule }) => ({
      name: `${path.join('.')} with NUL`,
      make: (order) => toBytes(withValue(order, path, '\0'.padEnd(rule.minLength, 'X'))),
    })),
    'past 2^53': integers.map(({ path }) => ({
      name: `${path.join('.')} past 2^53`,
      make: (order) => toBytes(withValue(order, path, 2 ** 53)),
    })),
    conflict: [
      { name: 'other number', make: (order) => toBytes({ ...order, sm_id: order.sm_id + 1 }) },
      { name: 'other customer', make: (order) => toBytes({ ...order, customer_id: 'somebody-else' }) },
      {
        name: 'an item twice',
        make: (order) => toBytes({ ...order, items: [...order.items, order.items[0]] }),
      },
    ],
  } satisfies Record<string, BadKind[]>;
};

/** The JSON of the order with these bytes at the start of the name. */
const spliced = (order: Order, bytes: number[]) => {
  const json = toBytes(order);
  const at = json.indexOf('"name":"') + '"name":"'.length;
  return Buffer.concat([json.subarray(0, at), Buffer.from(bytes), json.subarray(at)]);
};

/**
 * Returns a function that derives an invalid message from a valid order, cycling through the families and the kinds in each. `known`
 * is an order sent before; without it there are no conflicts.
 */
export const createBadMessageMaker = (schema: OrderSchema) => {
  const families = Object.entries(badKinds(schema));
  let turn = 0;
  return (order: Order, known: Order | undefined): { key: string; value: Buffer | null } => {
    for (;;) {
      const [family, kinds] = families[turn % families.length] as [Family, BadKind[]];
      const kind = kinds[Math.floor(turn / families.length) % kinds.length] as BadKind;
      turn += 1;
      const base = family === 'conflict' ? known : order;
      if (base) return { key: base.order_uid, value: kind.make(base) };
    }
  };
};
