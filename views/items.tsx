// biome-ignore-all lint/a11y/noRedundantRoles: on a phone the table is laid out as cards, which removes its role
import { Html } from '@elysiajs/html';
import type { Order } from '../src/order/order.ts';
import { fill } from './format.ts';
import { Difference } from './parts.tsx';
import type { Differences } from './sums.ts';
import type { View } from './view.ts';

type ItemsProps = { view: View; order: Order; differences: Differences };

/** Of more, only those in view are laid out. */
const fewItems = 50;

/** The items: a table, or cards where it does not fit. */
export const OrderItems = ({ view: { text, format }, order, differences }: ItemsProps) => {
  const money = (amount: number | bigint) => format.money(amount, order.payment.currency);
  return (
    <section class={order.items.length > fewItems ? 'card items long' : 'card items'} aria-labelledby="items">
      <h3 id="items" safe>
        {text.items}
      </h3>
      <table role="table">
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">
              <span class="visually-hidden" safe>
                {text.item}
              </span>
            </th>
            <th role="columnheader" scope="col" class="end" safe>
              {text.price}
            </th>
            <th role="columnheader" scope="col" class="end" safe>
              {text.sale}
            </th>
            <th role="columnheader" scope="col" class="end" safe>
              {text.itemTotal}
            </th>
            <th role="columnheader" scope="col" class="end" safe>
              {text.itemStatus}
            </th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          {order.items.map((item, index) => {
            const difference = differences.items[index];
            return (
              <tr role="row">
                <th role="rowheader" scope="row">
                  <bdi safe>{item.name}</bdi>
                  <span class="note">
                    <bdi safe>{item.brand}</bdi>
                    {item.size === '0' ? null : <bdi safe>{fill(text.size, { size: item.size })}</bdi>}
                  </span>
                </th>
                <td role="cell" class="end price" safe>
                  {money(item.price)}
                </td>
                <td role="cell" class="end sale" safe>
                  {format.discount(item.sale)}
                </td>
                <td role="cell" class="end item-total">
                  <span safe>{money(item.total_price)}</span>
                  {difference === undefined ? null : (
                    <Difference text={text.itemDiffers} sum={money(difference)} />
                  )}
                </td>
                <td role="cell" class="end item-status">
                  <span class="label" aria-hidden="true" safe>
                    {text.itemStatus.toLowerCase()}
                  </span>{' '}
                  <span class="code" safe>{`${item.status}`}</span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
};
