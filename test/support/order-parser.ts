import { createOrderSchema } from '../../src/order/order.ts';
import { createOrderParser } from '../../src/order/parser.ts';
import { defaultRules } from '../../src/order/rules.ts';

/** Of the default rules. */
export const orderSchema = createOrderSchema(defaultRules);
export const parser = createOrderParser(defaultRules);
export const { parse: parseOrder, toOrder } = parser;
