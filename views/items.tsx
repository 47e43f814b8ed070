import { Html } from '@elysiajs/html';
import type { Order } from '../src/order/order.ts';
import { fill } from './format.ts';
import { Difference } from './parts.tsx';
import type { Differences } from './sums.ts';
import type { View } from './view.ts';

type ItemsProps = { view: View; order: Order; differences: Differences };

/** Items that are laid out together, when they come into view; a browser has less to do with few groups than with many rows. */
const groupSize = 25;

/** The items: a table, or cards where it does not fit. */
export const OrderItems = ({ view, order, differences }: ItemsProps) => {
  const { text, format } = view;
  const money = (amount: number | bigint) => format.money(amount, order.payment.currency);
  return (
    <section class="card items" aria-labelledby="items">
      <h3 id="items" safe>
        {text.items}
      </h3>
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span class="visually-hidden" safe>
                {text.item}
              </span>
            </th>
            <th scope="col" class="end" safe>
              {text.price}
            </th>
            <th scope="col" class="end" safe>
              {text.sale}
            </th>
            <th scope="col" class="end" safe>
              {text.itemTotal}
            </th>
            <th scope="col" class="end" safe>
              {text.itemStatus}
            </th>
          </tr>
        </thead>
        {toGroups(order.items).map((group, number) => (
          <tbody class={number > 0 && group.length === groupSize ? 'later' : undefined}>
            {group.map((item, index) => (
              <Item
                view={view}
                item={item}
                money={money}
                difference={differences.items[number * groupSize + index]}
              />
            ))}
          </tbody>
        ))}
      </table>
    </section>
  );
};

type ItemProps = {
  view: View;
  item: Order['items'][number];
  difference: bigint | undefined;
  money: (amount: number | bigint) => string;
};

const Item = ({ view: { text, format }, item, difference, money }: ItemProps) => (
  <tr>
    <th scope="row">
      <bdi safe>{item.name}</bdi>
      <span class="note">
        <bdi safe>{item.brand}</bdi>
        {item.size === '0' ? null : (
          <>
            {' · '}
            <bdi safe>{fill(text.size, { size: item.size })}</bdi>
          </>
        )}
      </span>
    </th>
    <td class="end price" safe>
      {money(item.price)}
    </td>
    <td class="end sale" safe>
      {format.discount(item.sale)}
    </td>
    <td class="end item-total">
      <span safe>{money(item.total_price)}</span>
      {difference === undefined ? null : <Difference text={text.itemDiffers} sum={money(difference)} />}
    </td>
    <td class="end item-status" data-label={text.itemStatus.toLowerCase()} safe>
      {`${item.status}`}
    </td>
  </tr>
);

const toGroups = <T,>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / groupSize) }, (_, number) =>
    items.slice(number * groupSize, (number + 1) * groupSize),
  );
