import type { Step } from '../lookup/lookup.ts';

/**
 * `Cache-Status` in the terms of RFC 9211, the tiers in the order in which they were asked. The RFC lists caches in the order of
 * the response; these are not hops between servers but the steps of one lookup, which are read from the first.
 */
export const cacheStatus = (steps: readonly Step[]) => {
  let status = '';
  for (const { tier, hit, bypassed } of steps) {
    if (tier === 'postgres') continue;
    status += `${status && ', '}${tier}; ${hit ? 'hit' : bypassed ? 'fwd=bypass' : 'fwd=miss'}`;
  }
  return status;
};

/** `toFixed` takes as long as the rest of an answer's head. */
const thousandths = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, '0'));

/** An entry of `Server-Timing`, in ms to the µs. */
export const timingOf = ({ tier, durationMs }: Step) => {
  const microseconds = Math.round(durationMs * 1000);
  return `${tier};dur=${Math.trunc(microseconds / 1000)}.${thousandths[microseconds % 1000]}`;
};

/** `Server-Timing` of the tiers that were asked. */
export const serverTiming = (steps: readonly Step[]) => {
  let timing = '';
  for (const step of steps) if (!step.bypassed) timing += `${timing && ', '}${timingOf(step)}`;
  return timing;
};
