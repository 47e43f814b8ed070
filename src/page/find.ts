import type { Finding, Row, Source } from '../../views/view.ts';
import type { Answer, Lookup, Tier } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import { isOrderUid, type Order } from '../order/order.ts';
import { areSeveral, hasCase, isShortened, splitNumbers, trimUid, uidOfLink } from './pasted.ts';

const tiers: Tier[] = ['memory', 'redis', 'postgres'];

/** Numbers that are looked up at once. */
const maxNumbers = 100;
/** In UTF-16 units. No number is longer, with any spaces and quotes around it; to render all of a longer text would take 12 ms. */
const maxLength = 500;
/** A hundred links to orders are not longer. */
const maxTextLength = 30_000;

type Found = { order: Order; source: Source };

/**
 * Looks up what a person typed or pasted, as the `uid` parameters of the address: one number or several. A text is first taken
 * unchanged, as an order's number may begin with a quote, be a link, or hold a comma.
 */
export const createFind = (lookup: Lookup) => {
  const sourceOf = ({ steps }: Answer, tier: Tier): Source => ({
    tier,
    tookMs: steps.reduce((sum, step) => sum + step.durationMs, 0),
    others: Object.fromEntries(
      tiers.filter((other) => other !== tier).map((other) => [other, lookup.lastHitMs(other)]),
    ),
  });

  const read = (answer: Answer): Found | undefined => {
    const tier = answer.steps.find((step) => step.hit)?.tier;
    if (!answer.document || !tier) return undefined;
    const order = JSON.parse(new TextDecoder().decode(answer.document.body)) as Order;
    return { order, source: sourceOf(answer, tier) };
  };

  /** What is found under each of these texts: an order, nothing, or that it is not known. */
  const lookUp = async (texts: readonly string[]): Promise<Map<string, Found | Unavailable | undefined>> => {
    const uids = [...new Set(texts)].filter(isOrderUid);
    if (uids.length === 0) return new Map();
    const [first = ''] = uids;
    // One by itself is not counted as a batch in traces, and costs the smaller query.
    const answers = uids.length === 1 ? [await findOne(first)] : await lookup.findAll(uids);
    return new Map(
      uids.map((uid, index) => {
        const answer = answers[index] as Answer | Unavailable;
        return [uid, answer instanceof Unavailable ? answer : read(answer)];
      }),
    );
  };

  const findOne = async (uid: string) => {
    try {
      return await lookup.find(uid);
    } catch (error) {
      if (error instanceof Unavailable) return error;
      throw error;
    }
  };

  /** For each of these numbers, which no order has, the order whose number alone differs by letter case only. */
  const lookUpOtherCases = async (
    numbers: readonly string[],
  ): Promise<Map<string, Found | Unavailable | undefined>> => {
    const uids = numbers.filter((number) => isOrderUid(number) && hasCase(number));
    if (uids.length === 0) return new Map();
    try {
      const others = await lookup.findOtherCases(uids);
      const only = others.map((cases) => (cases.length === 1 ? cases[0] : undefined));
      const found = await lookUp(only.filter((uid) => uid !== undefined));
      return new Map(uids.map((uid, index) => [uid, found.get(only[index] ?? '')]));
    } catch (error) {
      if (error instanceof Unavailable) return new Map(uids.map((uid) => [uid, error]));
      throw error;
    }
  };

  const findSeveral = async (numbers: readonly string[]): Promise<Finding> => {
    if (numbers.length > maxNumbers) return { state: 'tooMany', given: '', count: numbers.length };
    const exact = await lookUp(numbers);
    const others = await lookUpOtherCases(numbers.filter((number) => exact.get(number) === undefined));
    const rows = numbers.map((given): Row => {
      if (!isOrderUid(given)) return { state: 'malformed', given };
      const found = exact.get(given) ?? others.get(given);
      if (found === undefined) return { state: 'notFound', given };
      if (found instanceof Unavailable) return { state: 'unavailable', given };
      return { state: 'found', given: found.order.order_uid, ...found };
    });
    return { state: 'several', given: numbers.join(' '), rows };
  };

  const findText = async (given: string): Promise<Finding> => {
    const trimmed = trimUid(given);
    if (trimmed === '') return { state: 'empty', given: '' };
    const toFinding = (found: Found | Unavailable): Finding =>
      found instanceof Unavailable
        ? { state: 'unavailable', given: trimmed, retryAfterSeconds: found.retryAfterSeconds }
        : { state: 'found', given: found.order.order_uid, ...found };

    // Unavailable under one reading, the order may be cached under another one.
    let unavailable: Unavailable | undefined;
    for (const text of new Set([given, trimmed])) {
      const found = (await lookUp([text])).get(text);
      if (found instanceof Unavailable) unavailable = found;
      else if (found) return toFinding(found);
    }
    const numbers = splitNumbers(given);
    if (areSeveral(numbers)) {
      const several = await findSeveral(numbers);
      const isFound = several.state === 'several' && several.rows.some(({ state }) => state === 'found');
      return unavailable && !isFound ? toFinding(unavailable) : several;
    }

    // A link to an order; the one word of a sentence that is as long as a number; another letter case.
    const inside = uidOfLink(trimmed) ?? numbers.find(isOrderUid) ?? trimmed;
    const exact = inside === trimmed ? undefined : (await lookUp([inside])).get(inside);
    const found = exact ?? (await lookUpOtherCases([inside])).get(inside);
    if (found ?? unavailable) return toFinding((found ?? unavailable) as Found | Unavailable);
    const shown = cutUid(uidOfLink(trimmed) ?? trimmed);
    if (isShortened(trimmed)) return { state: 'shortened', given: shown };
    return { state: isOrderUid(shown) ? 'notFound' : 'malformed', given: shown };
  };

  return (given: readonly string[]): Promise<Finding> => {
    const texts = given.map((text) => text.slice(0, maxTextLength).toWellFormed());
    const [only = ''] = texts;
    if (texts.length <= 1) return findText(only);
    const numbers = [...new Set(texts.map(trimUid).filter((text) => text !== ''))];
    return numbers.length === 1 ? findText(numbers[0] as string) : findSeveral(numbers.map(cutUid));
  };
};

/** How many numbers the texts may hold, as the rate limit counts them. */
export const countNumbers = (given: readonly string[]) =>
  Math.min(maxNumbers, given.flatMap(splitNumbers).filter(isOrderUid).length);

/** The text, or just enough of it to be too long. */
export const cutUid = (text: string) => text.slice(0, maxLength + 1).toWellFormed();
