import { Kind, type TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { describeFaults, findFaults } from './faults.ts';
import { toInstant } from './instant.ts';
import { createOrderSchema, type Order } from './order.ts';
import { createOrderReader, mayHaveBadText } from './order-reader.ts';
import type { OrderRules } from './rules.ts';
import { createWrittenNumbers } from './written-numbers.ts';

/** Why a message is no order. `parse`: it is not JSON in UTF-8. `validate`: the JSON breaks rules. */
export type Refusal = { stage: 'parse' | 'validate'; reason: string };

export type OrderParser = ReturnType<typeof createOrderParser>;

/** More than the longest order takes, however it is escaped. A limit is needed as JSON may take fifty times its length in memory. */
const maxBytes = 4_194_304;

/** Compiles the rules, which takes some milliseconds: once for each thread. */
export const createOrderParser = (rules: OrderRules) => {
  const schema = createOrderSchema(rules);
  const checker = TypeCompiler.Compile(schema);
  const copyOrder = copier(schema) as (value: Order) => Order;
  const readOrder = createOrderReader(schema);
  const utf8 = new TextDecoder('utf-8', { fatal: true });

  const check = (candidate: unknown, json?: string): { order: Order } | Refusal => {
    if (checker.Check(candidate)) return { order: copyOrder(candidate) };
    const faults = findFaults(schema, candidate, createWrittenNumbers(json, candidate));
    return { stage: 'validate', reason: describeFaults(faults) };
  };

  return {
    /**
     * Reads a message's value as an order: only the known fields, in the schema's order, the date in canonical form, and the empty
     * text for an optional one that is absent or null. So an order has one JSON text, and `store.find` returns that text byte for
     * byte.
     */
    parse(value: Uint8Array | null): { order: Order } | Refusal {
      if (value === null) return { stage: 'parse', reason: 'the message has no value' };
      if (value.length === 0) return { stage: 'parse', reason: 'the message is empty' };
      if (value.length > maxBytes)
        return { stage: 'parse', reason: `the message has ${value.length} bytes, more than ${maxBytes}` };
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
      const order = mayHaveBadText(json) ? undefined : readOrder(candidate);
      return order ? { order } : check(candidate, json);
    },
    /** As `parse`, for a value that is parsed already; without the fast path. */
    toOrder: (candidate: unknown) => check(candidate),
  };
};

/** Compiles a schema to a function that copies the fields it has of a valid value. */
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
  if (schema[Kind] === 'OptionalText') return (value: string | null | undefined) => value ?? '';
  // -0 is the integer 0, in JSON and in PostgreSQL.
  if (schema.type === 'integer') return (value: number) => value + 0;
  return (value) => value;
};
