import type { Finding, Source } from '../../views/view.ts';
import type { Answer, Lookup, Tier } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import { isOrderUid, type Order } from '../order/order.ts';

const tiers: Tier[] = ['memory', 'redis', 'postgres'];

/**
 * Looks up what a person typed or pasted: first unchanged, as an order's uid may begin with a quote, then without the spaces and
 * quotes around it.
 */
export const createFind = (lookup: Lookup) => {
  const sourceOf = ({ steps }: Answer, tier: Tier): Source => ({
    tier,
    tookMs: steps.reduce((sum, step) => sum + step.durationMs, 0),
    others: Object.fromEntries(
      tiers.filter((other) => other !== tier).map((other) => [other, lookup.lastHitMs(other)]),
    ),
  });

  return async (given: string): Promise<Finding> => {
    if (given.length > maxLength) return { state: 'malformed', given };
    const trimmed = trimUid(given);
    if (trimmed === '') return { state: 'empty', given: '' };
    const candidates = new Set([given, trimmed].filter(isOrderUid));
    if (candidates.size === 0) return { state: 'malformed', given: trimmed };
    let unavailable: Unavailable | undefined;
    for (const uid of candidates) {
      try {
        const answer = await lookup.find(uid);
        const tier = answer.steps.find((step) => step.hit)?.tier;
        if (!answer.document || !tier) continue;
        const order = JSON.parse(new TextDecoder().decode(answer.document.body)) as Order;
        return { state: 'found', given: uid, order, source: sourceOf(answer, tier) };
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        unavailable = error;
      }
    }
    if (unavailable) return { state: 'unavailable', given, retryAfterSeconds: unavailable.retryAfterSeconds };
    return { state: 'notFound', given: trimmed };
  };
};

/** In UTF-16 units. No order number is longer, with any spaces and quotes around it. */
const maxLength = 500;

/** The text, or just enough of it to be too long: to render all of a long one would take 12 ms. */
export const cutUid = (text: string) => text.slice(0, maxLength + 1).toWellFormed();

/** A character that is often copied with a number: a space, a quote, an invisible one. */
const around = /^[\s\p{Cf}"'`«»“”„‘’‚‹›]$/u;

/** The text without such characters at both ends. */
export const trimUid = (text: string) => {
  const characters = [...text];
  const isInside = (character: string) => !around.test(character);
  return characters.slice(characters.findIndex(isInside), characters.findLastIndex(isInside) + 1).join('');
};
