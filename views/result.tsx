import { Html } from '@elysiajs/html';
import type { Order } from '../src/order/order.ts';
import { closeAllBidi } from './bidi.ts';
import { fill } from './format.ts';
import { OrderCard } from './order.tsx';
import { SeveralOrders, severalTitle } from './several.tsx';
import { linkTo, literal, type Shown, type View } from './view.ts';

/** What is below the field: the order, a message, or the hint of a first visit. */
export const Result = ({ view, finding }: { view: View; finding: Shown }) => {
  const { text } = view;
  if (finding.state === 'empty') {
    return (
      <div data-state="empty">
        <p class="hint" safe>
          {text.hint}
        </p>
        <Several view={view} />
      </div>
    );
  }
  if (finding.state === 'found') {
    return (
      <article
        data-state="found"
        data-uid={literal(finding.order.order_uid)}
        data-say={literal(fill(text.found, { uid: finding.order.order_uid }))}
        aria-labelledby="order"
        hx-ignore
      >
        <OrderCard view={view} order={toShown(finding.order)} source={finding.source} />
      </article>
    );
  }
  if (finding.state === 'several') return <SeveralOrders view={view} rows={finding.rows} />;
  const values: Record<string, string> =
    finding.state === 'tooMany'
      ? { n: view.format.number(finding.count) }
      : finding.state === 'tooOften'
        ? { n: view.format.number(finding.retryAfterSeconds) }
        : {};
  return <Message view={view} state={finding.state} given={finding.given} values={values} />;
};

/** The order as it is shown. Its number is in links, too, and alone in its line. */
const toShown = (order: Order): Order => ({ ...closeAllBidi(order), order_uid: order.order_uid });

/** A form for several numbers. The field takes them too, but not line by line, and Enter would not submit a larger one. */
const Several = ({ view: { text } }: { view: View }) => (
  <details class="several">
    <summary safe>{text.several}</summary>
    <form action="./" method="get" autocomplete="off">
      <label class="hint" for="uids" safe>
        {text.severalHint}
      </label>
      <textarea id="uids" name="uid" class="code" rows="6" autocapitalize="off" spellcheck="false"></textarea>
      <button type="submit" safe>
        {text.find}
      </button>
    </form>
  </details>
);

const advice = {
  notFound: 'notFoundAdvice',
  malformed: 'malformedAdvice',
  shortened: 'shortenedAdvice',
  tooMany: 'tooManyAdvice',
  tooLong: 'tooLongAdvice',
  tooOften: 'tooOftenAdvice',
  unavailable: 'unavailableAdvice',
  failed: 'failedAdvice',
  offline: 'offlineAdvice',
} as const;

type MessageProps = {
  view: View;
  state: keyof typeof advice;
  given?: string;
  values?: Record<string, string>;
};

/** What happened, what to do, and a button to try again where that may help. */
export const Message = ({ view: { text }, state, given = '', values = {} }: MessageProps) => (
  <div data-state={state} data-say={`${text[state]} ${fill(text[advice[state]], values)}`} class="message">
    <h2 safe>{text[state]}</h2>
    <p id="message" safe>
      {fill(text[advice[state]], values)}
    </p>
    {['unavailable', 'failed', 'offline', 'tooOften'].includes(state) ? (
      <a class="button" href={linkTo(given)} data-retry safe>
        {text.retry}
      </a>
    ) : null}
  </div>
);

/** The document's title. */
export const titleOf = (view: View, finding: Shown) => {
  const { text } = view;
  if (finding.state === 'empty') return text.title;
  if (finding.state === 'several') return `${severalTitle(view, finding.rows)} · ${text.title}`;
  const about = finding.state === 'found' ? finding.order.order_uid : text[finding.state].replace(/\.$/, '');
  return `${about} · ${text.title}`;
};
