import { Html } from '@elysiajs/html';
import type { Order } from '../src/order/order.ts';
import { fill } from './format.ts';
import { literal, type View } from './view.ts';

type ExactProps = { view: View; instant: string; written: string; relative?: boolean };

/**
 * A point in time in a short form, in the visitor's time zone when the page's script has set its cookie, otherwise in UTC. The order's
 * own text shows on hover and focus.
 */
export const Exact = ({ view: { format, now, zone }, instant, written, relative = false }: ExactProps) => {
  const moment = new Date(instant);
  // HTML allows three digits of a second's fraction.
  const machine = moment.toISOString();
  return (
    <span class="when" tabindex="0">
      {relative ? (
        <span class="relative">
          <time datetime={machine} data-relative safe>
            {format.relative(moment, now)}
          </time>
          {' · '}
        </span>
      ) : null}
      <time datetime={machine} data-local safe>
        {format.time(moment, zone)}
      </time>
      <span class="exact" safe>
        {written}
      </span>
    </span>
  );
};

/** Marks a sum that does not add up, with what it should be. */
export const Difference = ({ text, sum = '' }: { text: string; sum?: string }) => (
  <span class="differs">
    <span aria-hidden="true">≠</span> <span safe>{fill(text, { sum })}</span>
  </span>
);

/** Marks a value that the rules allow and that can hardly be right. */
export const Implausible = ({ text }: { text: string }) => (
  <span class="differs">
    <span aria-hidden="true">?</span> <span safe>{text}</span>
  </span>
);

/**
 * The fields for support and debugging. Those of the items are a text until a person opens them, as a thousand items have six thousand:
 * the page's script makes a table of it.
 */
export const Technical = ({ view: { text, hasScript = false }, order }: { view: View; order: Order }) => {
  const { payment } = order;
  const fields = {
    entry: order.entry,
    locale: order.locale,
    internal_signature: order.internal_signature,
    customer_id: order.customer_id,
    delivery_service: order.delivery_service,
    shardkey: order.shardkey,
    sm_id: order.sm_id,
    oof_shard: order.oof_shard,
    date_created: order.date_created,
    'payment.transaction': payment.transaction,
    'payment.request_id': payment.request_id,
    'payment.payment_dt': payment.payment_dt,
  };
  const itemTable = <ItemFields text={text} order={order} />;
  return (
    <details class="technical">
      <summary safe>{text.technical}</summary>
      <dl>
        {Object.entries(fields).map(([name, value]) => (
          <div>
            <dt class="code" safe>
              {name}
            </dt>
            <dd>
              <bdi class="code" safe>
                {value === '' ? '—' : `${value}`}
              </bdi>
            </dd>
          </div>
        ))}
      </dl>
      {hasScript ? (
        <p data-html={literal(itemTable as string)}></p>
      ) : (
        <noscript>{itemTable as 'safe'}</noscript>
      )}
    </details>
  );
};

const ItemFields = ({ text, order }: { text: View['text']; order: Order }) => (
  <section class="scroll" tabindex="0" aria-label={text.itemFields}>
    <table class="code">
      <thead>
        <tr>
          {itemFields.map((name) => (
            <th scope="col">{name}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {order.items.map((item) => (
          <tr>
            {itemFields.map((name) => (
              <td>
                <bdi safe>{`${item[name]}`}</bdi>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  </section>
);

const itemFields = ['chrt_id', 'nm_id', 'rid', 'track_number', 'size', 'status'] as const;
