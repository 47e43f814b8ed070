import { Html } from '@elysiajs/html';
import type { Source, View } from './view.ts';

/** The bars' scale is logarithmic, from a microsecond to a second: otherwise the bar of memory could not be seen. */
const [leastMs, mostMs] = [0.001, 1_000];
const widthOf = (ms: number) => {
  const within = Math.min(Math.max(ms, leastMs), mostMs);
  return Math.round((Math.log10(within / leastMs) / Math.log10(mostMs / leastMs)) * 100);
};

/** How long memory and PostgreSQL take for an order, as two bars; nothing until both are known. */
export const Speed = ({ view: { text, format }, source }: { view: View; source: Source }) => {
  const { tier, tookMs, others } = source;
  const durations = { ...others, [tier]: tookMs };
  const { memory, postgres } = durations;
  if (memory === undefined || postgres === undefined) return null;
  return (
    <figure class="speed">
      <dl>
        {[['memory', memory] as const, ['postgres', postgres] as const].map(([name, ms]) => (
          <div>
            <dt safe>{text[name]}</dt>
            <dd>
              <svg class={name} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                <rect width={`${widthOf(ms)}`} height="8" />
              </svg>
              <span safe>{format.duration(ms)}</span>
            </dd>
          </div>
        ))}
      </dl>
      <figcaption safe>{text.speed}</figcaption>
    </figure>
  );
};
