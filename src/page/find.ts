import type { Finding, Row } from '../../views/view.ts';
import type { Lookup } from '../lookup/lookup.ts';
import { Unavailable } from '../lookup/order-query.ts';
import { isOrderUid } from '../order/order.ts';
import { best, createOutcomes, isFound, type Outcome } from './outcomes.ts';
import {
  cutUid,
  isSentence,
  isShortened,
  isWord,
  mayBeNumber,
  readingsOf,
  splitNumbers,
  trimUid,
  uidsOfLink,
} from './pasted.ts';

/** Numbers that are looked up at once. */
const maxNumbers = 100;
/** A hundred links to orders are not longer. */
const maxTextLength = 30_000;

/**
 * Looks up what a person typed or pasted, as the `uid` parameters of the address: one number or several. A text is first taken
 * unchanged, as an order's number may begin with a quote, be a link, or hold a comma.
 */
export const createFind = (lookup: Lookup) => {
  const findSeveral = async (texts: readonly string[]): Promise<Finding> => {
    if (texts.length > maxNumbers) return tooMany(texts.length);
    const outcomes = await createOutcomes(lookup).find(texts);
    return toList(texts.map((text, index) => toRow(text, outcomes[index])));
  };

  const findText = async (given: string): Promise<Finding> => {
    const trimmed = trimUid(given);
    if (trimmed === '') return { state: 'empty', given: '' };
    const linked = /\s/.test(trimmed) ? [] : uidsOfLink(trimmed);
    const parts = linked.length > 0 ? linked : splitNumbers(given);
    const isList = linked.length > 1 || (parts.filter(mayBeNumber).length > 1 && !isSentence(parts));
    const numbers = isList ? parts : parts.filter(mayBeNumber);
    if (numbers.length > maxNumbers) return tooMany(numbers.length);

    // The whole text and its parts at once, as the database may need its whole time to answer.
    const outcomes = createOutcomes(lookup);
    await outcomes.lookUp([given, trimmed, ...numbers]);
    const whole = best([given, trimmed].map(outcomes.outcomeOf));
    if (isFound(whole)) return toFinding(given, whole);

    const found = await outcomes.find(numbers);
    const rows = numbers
      .map((number, index) => ({ number, outcome: found[index] }))
      .filter(({ number, outcome }) => isList || isFound(outcome) || !isWord(number));
    const isNotKnown = whole instanceof Unavailable && !rows.some(({ outcome }) => isFound(outcome));
    if (isNotKnown) return toFinding(given, whole);
    if (rows.length > 1) return toList(rows.map(({ number, outcome }) => toRow(number, outcome)));

    const [row] = rows;
    const outcome = row ? row.outcome : (await outcomes.find([trimmed]))[0];
    if (outcome) return toFinding(given, outcome);
    const number = linked[0] ?? (isOrderUid(trimmed) ? trimmed : (row?.number ?? trimmed));
    const shown = cutUid(shownOf(number));
    if (isShortened(trimmed)) return { state: 'shortened', given: shown };
    return { state: isOrderUid(shown) ? 'notFound' : 'malformed', given: shown };
  };

  return (given: readonly string[]): Promise<Finding> => {
    const texts = given.map((text) => text.slice(0, maxTextLength).toWellFormed());
    const [only = ''] = texts;
    if (texts.length <= 1) return findText(only);
    const numbers = [...new Set(texts.filter((text) => trimUid(text) !== '').map(cutUid))];
    return numbers.length <= 1 ? findText(numbers[0] ?? '') : findSeveral(numbers);
  };
};

const tooMany = (count: number): Finding => ({ state: 'tooMany', given: '', count });

/** What is not known is shown unchanged, to be looked up again in all of its readings. */
const toFinding = (text: string, outcome: Exclude<Outcome, undefined>): Finding =>
  outcome instanceof Unavailable
    ? { state: 'unavailable', given: cutUid(text), retryAfterSeconds: outcome.retryAfterSeconds }
    : { state: 'found', given: outcome.order.order_uid, ...outcome };

const toRow = (text: string, outcome: Outcome): Row => {
  if (outcome instanceof Unavailable) return { state: 'unavailable', given: text };
  if (outcome) return { state: 'found', given: outcome.order.order_uid, ...outcome };
  const given = shownOf(text);
  return { state: isOrderUid(given) ? 'notFound' : 'malformed', given };
};

/** A number that no order has: with its punctuation, if there is room for it. */
const shownOf = (text: string) => {
  const trimmed = trimUid(text);
  return readingsOf(trimmed).find(isOrderUid) ?? trimmed;
};

/** Each number once. */
const toList = (all: readonly Row[]): Finding => {
  const rows = [...new Map(all.map((row) => [row.given, row])).values()];
  return { state: 'several', given: rows.map(({ given }) => given).join(' '), rows };
};

/** How many numbers the texts may hold, as the rate limit counts them. */
export const countNumbers = (given: readonly string[]) =>
  Math.min(maxNumbers, given.flatMap(splitNumbers).filter(mayBeNumber).length);
