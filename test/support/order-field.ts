import type { Order } from '../../src/order/order.ts';
import { buildOrder } from './build-order.ts';
import { parseOrder } from './order-parser.ts';

export type Json = Record<string, unknown>;

/** The order with another value at `path`, which names a field as the reasons do: `items.0.size`. */
export const withField = (path: string, value: unknown): Json => {
  const order = structuredClone(buildOrder()) as unknown as Json;
  const names = path.split('.');
  const last = names.pop() as string;
  const parent = names.reduce((part, name) => part[name] as Json, order);
  parent[last] = value;
  return order;
};
export const fieldOf = (order: Order, path: string) =>
  path.split('.').reduce((part: unknown, name) => (part as Json)[name], order);

export const bytes = (json: unknown) => Buffer.from(JSON.stringify(json));
export const accepts = (json: unknown) => 'order' in parseOrder(bytes(json));
/** The stage and the reason of a value that has to be refused. */
export const reasonOf = (value: Buffer | null) => {
  const parsed = parseOrder(value);
  if ('order' in parsed) throw new Error('it was accepted');
  return parsed;
};
