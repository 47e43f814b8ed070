import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { emailPattern, instant, integer, oneOf, optionalText, text } from './field-kinds.ts';
import { columnLengths, type OrderRules } from './rules.ts';

/**
 * The order: its schema, from which type, check, parser and published documentation follow. The rules are those of
 * docs/messages.md; PostgreSQL's columns hold every value that they allow.
 */

export const OrderUid = text(10, 50);

export const createOrderSchema = ({
  currencies,
  providers,
  locales,
  trackPattern,
  freeItems,
  retentionDays,
}: OrderRules) => {
  const trackNumber = () => text(1, columnLengths.trackNumber, { pattern: trackPattern });
  const price = () => integer(freeItems ? 0 : 1);
  return Type.Object(
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
        request_id: optionalText(50),
        currency: oneOf(currencies),
        provider: oneOf(providers),
        // An order of free items only is free itself.
        amount: price(),
        payment_dt: integer(1, { description: 'Unix time, in s' }),
        bank: text(1, 50),
        delivery_cost: integer(0),
        goods_total: price(),
        custom_fee: integer(0),
      }),
      items: Type.Array(
        Type.Object({
          chrt_id: integer(1),
          track_number: trackNumber(),
          price: price(),
          rid: text(1, 50),
          name: text(1, 100),
          sale: integer(0, { maximum: 100, description: 'Percent' }),
          size: text(1, 10),
          total_price: price(),
          nm_id: integer(1),
          brand: text(1, 100),
          status: integer(0),
        }),
        { minItems: 1, maxItems: 1000 },
      ),
      locale: oneOf(locales),
      internal_signature: optionalText(50),
      customer_id: text(1, 50),
      delivery_service: text(1, 50),
      shardkey: text(1, 10),
      sm_id: integer(0),
      date_created: instant(retentionDays),
      oof_shard: text(1, 10),
    },
    {
      $id: 'Order',
      title: 'Order',
      description:
        'Immutable, until it is erased or expires. Lengths are in characters, texts hold no NUL; fields that are not listed are ignored when an order is stored.',
    },
  );
};

export type OrderSchema = ReturnType<typeof createOrderSchema>;
export type Order = Static<OrderSchema>;
export type OrderUid = string;

const uidChecker = TypeCompiler.Compile(OrderUid);

/** A fast path for nearly all uids: the general check counts characters. */
const plainUid = /^[\w-]{10,50}$/;
export const isOrderUid = (value: unknown): value is OrderUid =>
  (typeof value === 'string' && plainUid.test(value)) || uidChecker.Check(value);
