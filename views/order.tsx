import { Html } from '@elysiajs/html';
import type { Order } from '../src/order/order.ts';
import { CopyButton, CopyIcon } from './copy.tsx';
import { fill } from './format.ts';
import { OrderItems } from './items.tsx';
import { Difference, Exact, Implausible, Technical } from './parts.tsx';
import { plausibleTime } from './plausible.ts';
import { OrderSource } from './source.tsx';
import { Speed } from './speed.tsx';
import { findDifferences } from './sums.ts';
import { linkTo, type Source, type View } from './view.ts';

/** RFC 6068: the @ stays as it is. An email address has one. */
const mailto = (email: string) => `mailto:${encodeURIComponent(email).replace('%40', '@')}`;

/** A whole order: status and totals, delivery, payment, items, and the technical fields folded. */
export const OrderCard = ({ view, order, source }: { view: View; order: Order; source: Source }) => {
  const { text, format } = view;
  const { payment } = order;
  const differences = findDifferences(order);
  return (
    <>
      <header class="order-head">
        <div class="title">
          <h2 id="order" tabindex="-1">
            <bdi class="code" safe>
              {order.order_uid}
            </bdi>
          </h2>
          <CopyIcon words={text.copyNumber} copy={order.order_uid} />
        </div>
        <p class="sum">
          <strong safe>{format.money(payment.amount, payment.currency)}</strong>
          {differences.amount === undefined ? null : <Difference text={text.doesNotAddUp} />}
        </p>
        <p class="placed">
          <span safe>{text.placed}</span>{' '}
          <Exact view={view} instant={order.date_created} written={order.date_created} relative />
        </p>
        <p class="summary">
          <span safe>{format.count(text.itemCount, order.items.length)}</span>
          {' · '}
          <Statuses view={view} order={order} />
        </p>
        <OrderSource view={view} source={source} />
        <Speed view={view} source={source} />
      </header>
      <div class="cards">
        <Delivery view={view} order={order} />
        <Payment view={view} order={order} differences={differences} />
      </div>
      <OrderItems view={view} order={order} differences={differences} />
      <footer class="order-foot">
        <div class="actions">
          <CopyButton words={text.copyLink} link={linkTo(order.order_uid)} />
          <CopyButton words={text.copyJson} from={`order/${encodeURIComponent(order.order_uid)}`} />
          <a class="quiet" href={`order/${encodeURIComponent(order.order_uid)}`} safe>
            {text.openJson}
          </a>
        </div>
        <Technical view={view} order={order} />
      </footer>
    </>
  );
};

/** The statuses of the items, each once, the most frequent first. */
const Statuses = ({ view: { text, format }, order }: { view: View; order: Order }) => {
  const counts = new Map<number, number>();
  for (const { status } of order.items) counts.set(status, (counts.get(status) ?? 0) + 1);
  const listed = [...counts].sort(([, a], [, b]) => b - a);
  const shown = listed
    .slice(0, 3)
    .map(([status, n]) => (listed.length === 1 || n === 1 ? `${status}` : `${status} × ${format.number(n)}`));
  const codes = shown.join(', ') + (listed.length > 3 ? '…' : '');
  return <span safe>{text.status.replace('{codes}', codes)}</span>;
};

const Delivery = ({ view: { text }, order }: { view: View; order: Order }) => {
  const { delivery } = order;
  return (
    <section class="card delivery" aria-labelledby="delivery">
      <h3 id="delivery" safe>
        {text.delivery}
      </h3>
      <address>
        <p class="lead">
          <bdi safe>{delivery.name}</bdi>
        </p>
        <p>
          <bdi safe>{delivery.address}</bdi>
        </p>
        <p>
          <bdi safe>{delivery.city}</bdi>, <bdi safe>{delivery.region}</bdi>, <bdi safe>{delivery.zip}</bdi>
        </p>
        <p>
          <a href={`tel:${delivery.phone}`} safe>
            {delivery.phone}
          </a>
          <CopyIcon words={text.copyPhone} copy={delivery.phone} />
        </p>
        <p>
          <a href={mailto(delivery.email)}>
            <bdi safe>{delivery.email}</bdi>
          </a>
          <CopyIcon words={text.copyEmail} copy={delivery.email} />
        </p>
      </address>
      <p class="note">
        <bdi safe>{order.delivery_service}</bdi>
        {' · '}
        <span>
          <span safe>{text.track}</span>{' '}
          <bdi class="code" safe>
            {order.track_number}
          </bdi>
          <CopyIcon words={text.copyTrack} copy={order.track_number} />
        </span>
      </p>
    </section>
  );
};

type PaymentProps = { view: View; order: Order; differences: ReturnType<typeof findDifferences> };

const Payment = ({ view, order, differences }: PaymentProps) => {
  const { text, format } = view;
  const { payment } = order;
  const money = (amount: number | bigint) => format.money(amount, payment.currency);
  const paidAt = plausibleTime(payment.payment_dt, view.now);
  return (
    <section class="card payment" aria-labelledby="payment">
      <h3 id="payment" safe>
        {text.payment}
      </h3>
      <dl class="amounts">
        <Amount label={text.goods} amount={money(payment.goods_total)}>
          {differences.goods === undefined ? null : (
            <Difference text={text.goodsDiffer} sum={money(differences.goods)} />
          )}
        </Amount>
        <Amount label={text.deliveryCost} amount={money(payment.delivery_cost)} />
        <Amount label={text.fee} amount={money(payment.custom_fee)} />
        <Amount label={text.total} amount={money(payment.amount)} total>
          {differences.amount === undefined ? null : (
            <Difference text={text.amountDiffers} sum={money(differences.amount)} />
          )}
        </Amount>
      </dl>
      <p class="note">
        <bdi safe>{`${payment.provider}`}</bdi>
        {' · '}
        <bdi safe>{payment.bank}</bdi>
        {paidAt === undefined ? (
          <Implausible text={fill(text.paidImplausibly, { seconds: `${payment.payment_dt}` })} />
        ) : (
          <>
            {' · '}
            <Exact view={view} instant={paidAt.toISOString()} written={paidAt.toISOString()} />
          </>
        )}
      </p>
    </section>
  );
};

type AmountProps = { label: string; amount: string; total?: boolean; children?: JSX.Element | null };

const Amount = ({ label, amount, total, children }: AmountProps) => (
  <div class={total ? 'total' : undefined}>
    <dt safe>{label}</dt>
    <dd>
      <span class="money" safe>
        {amount}
      </span>
      {children as 'safe'}
    </dd>
  </div>
);
