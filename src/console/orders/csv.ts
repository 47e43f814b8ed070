import { toCell } from '../../http/csv.ts';
import type { Order } from '../../order/order.ts';

type Column = [name: string, read: (order: Order) => string | number];

const columns: Column[] = [
  ['order_uid', (order) => order.order_uid],
  ['date_created', (order) => order.date_created],
  ['track_number', (order) => order.track_number],
  ['customer_id', (order) => order.customer_id],
  ['delivery_service', (order) => order.delivery_service],
  ['locale', (order) => `${order.locale}`],
  ['name', (order) => order.delivery.name],
  ['phone', (order) => order.delivery.phone],
  ['email', (order) => order.delivery.email],
  ['zip', (order) => order.delivery.zip],
  ['region', (order) => order.delivery.region],
  ['city', (order) => order.delivery.city],
  ['address', (order) => order.delivery.address],
  ['currency', (order) => `${order.payment.currency}`],
  ['amount', (order) => order.payment.amount],
  ['goods_total', (order) => order.payment.goods_total],
  ['delivery_cost', (order) => order.payment.delivery_cost],
  ['custom_fee', (order) => order.payment.custom_fee],
  ['provider', (order) => `${order.payment.provider}`],
  ['bank', (order) => order.payment.bank],
  ['transaction', (order) => order.payment.transaction],
  ['payment_dt', (order) => order.payment.payment_dt],
  ['items', (order) => order.items.length],
];

const toLine = (cells: readonly (string | number)[]) => `${cells.map(toCell).join(',')}\r\n`;

/** The first line, after a byte order mark, without which spreadsheets take UTF-8 for another encoding. */
export const csvHead = `\ufeff${toLine(columns.map(([name]) => name))}`;

/** One line for an order. */
export const toCsv = (order: Order): string => toLine(columns.map(([, read]) => read(order)));
