/** What the texts that may be order numbers lead to. */
import type { Source } from '../../views/view.ts';
import type { Answer, Lookup, Tier } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import { isOrderUid, type Order } from '../order/order.ts';
import { hasCase, readingsOf } from './pasted.ts';

const tiers: Tier[] = ['memory', 'redis', 'postgres'];

export type Found = { order: Order; source: Source };
/** Undefined: no order has the number, or it is none. */
export type Outcome = Found | Unavailable | undefined;

export const isFound = (outcome: Outcome): outcome is Found =>
  outcome !== undefined && !(outcome instanceof Unavailable);

/** The first order that is found; otherwise, that one of them is not known. */
export const best = (outcomes: readonly Outcome[]): Outcome =>
  outcomes.find(isFound) ?? outcomes.find((outcome) => outcome instanceof Unavailable);

/** Looks up texts for one visitor, each of them once. */
export const createOutcomes = (lookup: Lookup) => {
  const known = new Map<string, Outcome>();

  const sourceOf = ({ steps }: Answer, tier: Tier): Source => ({
    tier,
    tookMs: steps.reduce((sum, step) => sum + step.durationMs, 0),
    others: Object.fromEntries(
      tiers.filter((other) => other !== tier).map((other) => [other, lookup.lastHitMs(other)]),
    ),
  });

  const read = (answer: Answer | Unavailable): Outcome => {
    if (answer instanceof Unavailable) return answer;
    const tier = answer.steps.find((step) => step.hit)?.tier;
    if (!answer.document || !tier) return undefined;
    const order = JSON.parse(new TextDecoder().decode(answer.document.body)) as Order;
    return { order, source: sourceOf(answer, tier) };
  };

  const findOne = async (uid: string) => {
    try {
      return await lookup.find(uid);
    } catch (error) {
      if (error instanceof Unavailable) return error;
      throw error;
    }
  };

  /** Texts that are no numbers cost nothing. */
  const lookUp = async (texts: readonly string[]): Promise<void> => {
    const uids = [...new Set(texts)].filter((text) => isOrderUid(text) && !known.has(text));
    const [first] = uids;
    if (first === undefined) return;
    // One by itself is not counted as a batch in traces, and costs the smaller query.
    const answers = uids.length === 1 ? [await findOne(first)] : await lookup.findAll(uids);
    for (const [index, uid] of uids.entries()) known.set(uid, read(answers[index] as Answer | Unavailable));
  };

  /** For each of these numbers, which no order has, the order whose number alone differs by letter case only. */
  const lookUpOtherCases = async (numbers: readonly string[]): Promise<Map<string, Outcome>> => {
    const uids = [...new Set(numbers)].filter((number) => isOrderUid(number) && hasCase(number));
    if (uids.length === 0) return new Map();
    try {
      const others = await lookup.findOtherCases(uids);
      const only = others.map((cases) => (cases.length === 1 ? cases[0] : undefined));
      await lookUp(only.filter((uid) => uid !== undefined));
      return new Map(uids.map((uid, index) => [uid, known.get(only[index] ?? '')]));
    } catch (error) {
      if (error instanceof Unavailable) return new Map(uids.map((uid) => [uid, error]));
      throw error;
    }
  };

  return {
    lookUp,
    /** Of a text that was looked up, exactly as it is. */
    outcomeOf: (text: string): Outcome => known.get(text),
    /** Of each text in its readings, then in another letter case. */
    async find(texts: readonly string[]): Promise<Outcome[]> {
      const readings = texts.map(readingsOf);
      await lookUp(readings.flat());
      const exact = readings.map((texts) => best(texts.map((text) => known.get(text))));
      const others = await lookUpOtherCases(readings.filter((_, index) => !exact[index]).flat());
      return readings.map((texts, index) => exact[index] ?? best(texts.map((text) => others.get(text))));
    },
  };
};
