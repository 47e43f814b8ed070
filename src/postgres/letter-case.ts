/**
 * Numbers that differ by letter case only. They are found by the primary key: an index of their own would slow down each order
 * that is stored.
 */
import type { OrderUid } from '../order/order.ts';

/** Beginnings that are followed for one number; beyond that it counts as one that several orders have. */
const maxPrefixes = 1_000;

/**
 * Follows a number along the sorted key, each letter in lower and in upper case, as far as an order begins like this: among random
 * numbers for a few letters. Parameters: see `otherCasesParameters`.
 */
export const otherCasesStatement = `
  select place::int as place, same.order_uid
    from unnest($1::text[], $2::text[]) with ordinality as asked (lower, upper, place),
      lateral (
        with recursive prefixes as (
          select '' as prefix
          union all
          select longer.prefix
            from prefixes, lateral (
              select prefix || substr(asked.lower, length(prefix) + 1, 1) as prefix
              union
              select prefix || substr(asked.upper, length(prefix) + 1, 1)
            ) longer
            where length(prefixes.prefix) < length(asked.lower)
              and starts_with(
                (select order_uid from orders where order_uid >= longer.prefix order by order_uid limit 1),
                longer.prefix)
        ),
        followed as (select prefix from prefixes limit ${maxPrefixes})
        select order_uid from followed join orders on order_uid = prefix
          where length(prefix) = length(asked.lower) and (select count(*) from followed) < ${maxPrefixes}
          limit 2
      ) same`;

const letterByLetter = (text: string, change: (letter: string) => string) =>
  Array.from(text, (letter) => {
    const changed = change(letter);
    // The statement needs one for one, and ß is SS in capitals.
    return [...changed].length === 1 ? changed : letter;
  }).join('');

/** The numbers in lower and in upper case. */
export const otherCasesParameters = (uids: readonly OrderUid[]) => [
  uids.map((uid) => letterByLetter(uid, (letter) => letter.toLowerCase())),
  uids.map((uid) => letterByLetter(uid, (letter) => letter.toUpperCase())),
];
