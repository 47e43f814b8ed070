import { Kind, type Static, type TSchema, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { describeError } from './describe-error.ts';
import { emailPattern, instant, integer, oneOf, text, trackNumber } from './field-kinds.ts';
import { toInstant } from './instant.ts';

/**
 * The order: its schema, from which type, check, parser and published documentation follow. The rules are those of
 * docs/messages.md; PostgreSQL's columns hold every value that they allow.
 */

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
      'Immutable. Lengths are in characters, texts hold no NUL; fields that are not listed are ignored when an order is stored.',
  },
);

export type Order = Static<typeof Order>;
export type OrderUid = string;

/** Why a message is no order. `parse`: it is not JSON in UTF-8. `validate`: the JSON breaks a rule. */
export type Refusal = { stage: 'parse' | 'validate'; reason: string };

const checker = TypeCompiler.Compile(Order);
const uidChecker = TypeCompiler.Compile(OrderUid);
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** More than the longest order takes, however it is escaped. A limit is needed as JSON may take fifty times its length in memory. */
const maxBytes = 4_194_304;

/** A fast path for nearly all uids: the general check counts characters. */
const plainUid = /^[\w-]{10,50}$/;
export const isOrderUid = (value: unknown): value is OrderUid =>
  (typeof value === 'string' && plainUid.test(value)) || uidChecker.Check(value);

/**
 * Reads a message's value as an order: only the known fields, in the schema's order, the date in canonical form. So an order has one
 * JSON text, and `store.find` returns that text byte for byte.
 */
export const parseOrder = (value: Uint8Array | null): { order: Order } | Refusal => {
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
  return toOrder(candidate);
};

/** As `parseOrder`, for a value that is parsed already. */
export const toOrder = (candidate: unknown): { order: Order } | Refusal => {
  if (!checker.Check(candidate)) {
    const error = checker.Errors(candidate).First();
    return { stage: 'validate', reason: error ? describeError(error) : 'the message is not an order' };
  }
  return { order: copyOrder(candidate) };
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
  // -0 is the integer 0, in JSON and in PostgreSQL.
  if (schema.type === 'integer') return (value: number) => value + 0;
  return (value) => value;
};
const copyOrder = copier(Order) as (value: Order) => Order;
