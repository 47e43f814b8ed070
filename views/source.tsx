import { Html } from '@elysiajs/html';
import { fill } from './format.ts';
import type { Source, View } from './view.ts';

/** The tier that the order came from and how long the lookup took, compared with the last hit in another tier. */
export const OrderSource = ({ view, source }: { view: View; source: Source }) => {
  const { text, format } = view;
  const { tier, tookMs } = source;
  const time = format.duration(tookMs);
  return (
    <p class="source">
      <span class={`badge ${tier}`}>
        <span safe>{text[tier]}</span> <span safe>{time}</span>
      </span>{' '}
      <span class="against" safe>
        {comparison(view, source)}
      </span>
    </p>
  );
};

const comparison = ({ text, format }: View, { tier, tookMs, others }: Source) => {
  if (tier === 'postgres') {
    const { memory } = others;
    return memory === undefined
      ? text.cachedNow
      : fill(text.cachedNowLast, { time: format.duration(memory) });
  }
  const { postgres } = others;
  if (postgres === undefined) return '';
  const slower = fill(text.slower, { time: format.duration(postgres) });
  const ratio = postgres / tookMs;
  if (!Number.isFinite(ratio) || ratio < 2) return slower;
  // To two digits, as the durations are.
  return `${slower}, ${format.count(text.ratio, Number(ratio.toPrecision(2)))}`;
};
