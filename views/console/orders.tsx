import { Html } from '@elysiajs/html';
import type { FoundPage, SearchField } from '../../src/postgres/search.ts';
import { closeBidi } from '../bidi.ts';
import { fill } from '../format.ts';
import { Exact } from '../parts.tsx';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import { Pager } from './pager.tsx';
import { Refusal } from './refusal.tsx';
import type { Words } from './text.ts';
import { type ConsoleView, pageLink } from './view.ts';

/** `kind`: what the text was taken for. `unsearched`: what it may also be, and cannot be searched by now. */
type OrderList = FoundPage & {
  kind: keyof Words['takenFor'] | undefined;
  unsearched: readonly SearchField[];
};

type OrdersProps = {
  view: ConsoleView;
  assets: ConsoleAssets;
  /** What was typed. */
  q: string;
  /** Those that are searched by now. */
  fields: readonly SearchField[];
  /** Undefined: there is an error instead. */
  list: OrderList | undefined;
  error: string | undefined;
  /** The page is not the first. */
  isLater: boolean;
};

export const Orders = ({ view, assets, q, fields, list, error, isLater }: OrdersProps) => {
  const { words } = view;
  return (
    <ConsoleLayout view={view} assets={assets} title={words.orders}>
      <search>
        <form method="get" action="orders" class="search">
          <input
            name="q"
            class="code"
            value={literal(q)}
            aria-label={words.searchOrders}
            aria-describedby="search-hint"
            maxlength="200"
            autofocus={list === undefined || list.orders.length === 0}
            autocomplete="off"
            autocapitalize="off"
            spellcheck="false"
          />
          <button type="submit" safe>
            {words.find}
          </button>
        </form>
      </search>
      <p class="hint" id="search-hint" safe>
        {hint(words, fields)}
      </p>
      <Refusal error={error} />
      {list === undefined ? null : (
        <>
          <Heading view={view} list={list} q={q} />
          {list.orders.length === 0 ? null : <Table view={view} list={list} />}
          <Pager view={view} page="orders" query={{ q }} isLater={isLater} next={list.next}>
            <a href="./erase" safe>
              {words.erase}
            </a>
          </Pager>
        </>
      )}
    </ConsoleLayout>
  );
};

const listed = (words: Words, fields: readonly SearchField[]) =>
  fields.map((field) => words.fieldNames[field]).join(', ');

/** What can be found by now. */
const hint = (words: Words, fields: readonly SearchField[]) =>
  fields.length === 0
    ? words.searchHint
    : `${words.searchHint} ${fill(words.searchedFields, { fields: listed(words, fields) })}`;

type ListProps = { view: ConsoleView; list: OrderList; q: string };

/** What the text was taken for, what else it may be, and the export. */
const Heading = ({ view: { words, format }, list, q }: ListProps) => {
  const title =
    list.kind === undefined
      ? words.tooLong
      : list.orders.length === 0
        ? words.nothingFound
        : words.takenFor[list.kind];
  return (
    <>
      <div class="found">
        <h2 safe>{title}</h2>
        {list.orders.length === 0 ? null : (
          <p class="export">
            <span safe>{words.exportAs}</span>{' '}
            <a href={literal(pageLink('api/orders/export', { format: 'csv', q }))} download="">
              CSV
            </a>{' '}
            <a href={literal(pageLink('api/orders/export', { format: 'ndjson', q }))} download="">
              NDJSON
            </a>
          </p>
        )}
      </div>
      {list.unsearched.length === 0 || list.orders.length > 0 ? null : (
        <p class="hint" safe>
          {fill(format.count(words.unsearched, list.unsearched.length), {
            fields: listed(words, list.unsearched),
          })}
        </p>
      )}
    </>
  );
};

const Table = ({ view, list }: Omit<ListProps, 'q'>) => {
  const { words, format } = view;
  return (
    <section class="scroll" tabindex="0" aria-label={words.orders}>
      <table class="list found-orders">
        <thead>
          <tr>
            <th scope="col" safe>
              {words.orderNumber}
            </th>
            <th scope="col" safe>
              {words.placed}
            </th>
            <th scope="col" class="end" safe>
              {words.total}
            </th>
            <th scope="col" class="end wide" safe>
              {words.itemsShort}
            </th>
            <th scope="col" class="wide" safe>
              {words.recipient}
            </th>
          </tr>
        </thead>
        <tbody>
          {list.orders.map((order) => (
            <tr>
              <th scope="row">
                <a href={literal(`../?uid=${encodeURIComponent(order.order_uid)}`)}>
                  <bdi class="code" safe>
                    {order.order_uid}
                  </bdi>
                </a>
              </th>
              <td>
                <Exact view={view} instant={order.date_created} written={order.date_created} />
              </td>
              <td class="end" safe>
                {format.money(order.amount, order.currency)}
              </td>
              <td class="end wide" safe>
                {format.number(order.items)}
              </td>
              <td class="wide">
                <bdi safe>{closeBidi(order.name)}</bdi>, <bdi safe>{closeBidi(order.city)}</bdi>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
};
