import { Html } from '@elysiajs/html';
import { CopyButton } from './copy.tsx';
import { fill } from './format.ts';
import { toTable, toTsv, wordOf } from './table.ts';
import { linkTo, linkToAll, literal, type Row, type View } from './view.ts';

/** Several orders, in the order in which they were asked for, each to open; and what to take away: a copy, a file, the link. */
export const SeveralOrders = ({ view, rows }: { view: View; rows: readonly Row[] }) => {
  const { text } = view;
  const address = linkToAll(rows.map(({ given }) => given));
  // The file is in the language of this page, as another tab may have chosen another one.
  const file = `orders.csv${address.slice('./'.length)}&lang=${view.language}`;
  return (
    <article data-state="several" data-say={severalTitle(view, rows)} aria-labelledby="order">
      <h2 id="order" tabindex="-1" safe>
        {severalTitle(view, rows)}
      </h2>
      <ol class="rows">
        {rows.map((row) => (
          <li>
            <a href={linkTo(row.given)}>
              <bdi class="code" safe>
                {row.given}
              </bdi>
              {row.state === 'found' ? (
                <FoundRow view={view} order={row.order} />
              ) : (
                <span class="none" safe>
                  {wordOf(view, row)}
                </span>
              )}
            </a>
          </li>
        ))}
      </ol>
      <footer class="row-foot">
        {rows.some(({ state }) => state === 'unavailable') ? (
          <a class="button" href={literal(address)} data-retry safe>
            {text.retry}
          </a>
        ) : null}
        <CopyButton words={text.copyTable} copy={toTsv(toTable(view, rows))} />
        <a class="quiet" href={literal(file)} download="orders.csv" safe>
          {text.csv}
        </a>
        <CopyButton words={text.copyLink} link={address} />
      </footer>
    </article>
  );
};

type FoundProps = { view: View; order: Extract<Row, { state: 'found' }>['order'] };

const FoundRow = ({ view: { text, format, zone }, order }: FoundProps) => (
  <>
    <span class="count" safe>
      {format.count(text.itemCount, order.items.length)}
    </span>
    <span class="money" safe>
      {format.money(order.payment.amount, order.payment.currency)}
    </span>
    <time datetime={new Date(order.date_created).toISOString()} data-local safe>
      {format.time(new Date(order.date_created), zone)}
    </time>
  </>
);

export const severalTitle = ({ text, format }: View, rows: readonly Row[]) =>
  fill(text.severalFound, {
    found: format.number(rows.filter(({ state }) => state === 'found').length),
    n: format.number(rows.length),
  });
