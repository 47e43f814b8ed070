import { Html } from '@elysiajs/html';
import { fill } from './format.ts';
import { OrderCard } from './order.tsx';
import { type Finding, linkTo, literal, type View } from './view.ts';

/** What is below the field: the order, a message, or the hint of a first visit. */
export const Result = ({ view, finding }: { view: View; finding: Finding }) => {
  const { text } = view;
  if (finding.state === 'empty') {
    return (
      <div data-state="empty">
        <p class="hint" safe>
          {text.hint}
        </p>
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
      >
        <OrderCard view={view} order={finding.order} source={finding.source} />
      </article>
    );
  }
  return <Message view={view} state={finding.state} given={finding.given} />;
};

const advice = {
  notFound: 'notFoundAdvice',
  malformed: 'malformedAdvice',
  unavailable: 'unavailableAdvice',
  failed: 'failedAdvice',
  offline: 'offlineAdvice',
} as const;

type MessageProps = { view: View; state: keyof typeof advice; given?: string };

/** What happened, what to do, and a button to try again where that may help. */
export const Message = ({ view: { text }, state, given = '' }: MessageProps) => (
  <div data-state={state} data-say={`${text[state]} ${text[advice[state]]}`} class="message">
    <h2 safe>{text[state]}</h2>
    <p id="message" safe>
      {text[advice[state]]}
    </p>
    {state === 'unavailable' || state === 'failed' || state === 'offline' ? (
      <a class="button" href={linkTo(given)} data-retry safe>
        {text.retry}
      </a>
    ) : null}
  </div>
);

/** The document's title. */
export const titleOf = ({ text }: View, finding: Finding) => {
  if (finding.state === 'empty') return text.title;
  const about = finding.state === 'found' ? finding.order.order_uid : text[finding.state].replace(/\.$/, '');
  return `${about} · ${text.title}`;
};
