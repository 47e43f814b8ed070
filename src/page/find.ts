import type { Finding, Source } from '../../views/view.ts';
import type { Answer, Lookup, Tier } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import { isOrderUid, type Order } from '../order/order.ts';

const tiers: Tier[] = ['memory', 'redis', 'postgres'];

/**
 * Looks up what a person typed or pasted: as it stands, and without the spaces and quotes around it. In this order,
 * as an order's uid may well begin with a quote.
 */
export const createFind = (lookup: Lookup) => {
  const sourceOf = ({ steps }: Answer, tier: Tier): Source => ({
    tier,
    took: steps.reduce((sum, step) => sum + step.durationMs, 0),
    others: Object.fromEntries(
      tiers.filter((other) => other !== tier).map((other) => [other, lookup.lastHitMs(other)]),
    ),
  });

  return async (given: string): Promise<Finding> => {
    if (given.length > longest) return { state: 'malformed', given };
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

/** In UTF-16 units. No order number is longer, with all that may come along. */
const longest = 500;

/** As much of a text as tells that it is too long: a page of all of it would take 12 ms. */
export const cutUid = (text: string) => text.slice(0, longest + 1).toWellFormed();

/** One character that comes along when a number is copied: a space, a quote, an invisible one. */
const around = /^[\s\p{Cf}"'`«»“”„‘’‚‹›]$/u;

/** Without those characters at both ends. */
export const trimUid = (text: string) => {
  const characters = [...text];
  const isInside = (character: string) => !around.test(character);
  return characters.slice(characters.findIndex(isInside), characters.findLastIndex(isInside) + 1).join('');
};
